# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#      http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.


"""Hosts for the benchmarks: recorded ones, and synthetic variants."""

import dataclasses
import itertools
import json
import pathlib
import random

import pyperf

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.registers import Judge
from nova_arm_migrate.core.tables import REGISTERS

#: Recorded on real kernels; their README describes how.
PROFILES = (
    pathlib.Path(__file__).parents[1] / 'tests' / 'fixtures' / 'profiles'
)

#: The other content of cpu_info, from Nova's driver on an Arm64 host.
NOVA_PART = {
    'arch': 'aarch64',
    'model': 'Neoverse-V1',
    'vendor': 'ARM',
    'topology': {'cells': 2, 'sockets': 1, 'cores': 64, 'threads': 1},
    'features': sorted(
        [
            'fp',
            'asimd',
            'evtstrm',
            'aes',
            'pmull',
            'sha1',
            'sha2',
            'crc32',
            'atomics',
            'fphp',
            'asimdhp',
            'cpuid',
            'asimdrdm',
            'jscvt',
            'fcma',
            'lrcpc',
            'dcpop',
            'sha3',
            'sm3',
            'sm4',
            'asimddp',
            'sha512',
            'sve',
            'asimdfhm',
            'dit',
            'uscat',
            'ilrcpc',
            'flagm',
            'ssbs',
            'sb',
            'paca',
            'pacg',
            'dcpodp',
            'sve2',
            'sveaes',
            'svepmull',
            'svebitperm',
            'svesha3',
            'svesm4',
            'flagm2',
            'frint',
            'svei8mm',
            'svebf16',
            'i8mm',
            'bf16',
            'dgh',
            'rng',
            'bti',
        ]
    ),
}


def recorded() -> list[Host]:
    """Return the recorded profiles."""
    return [
        load_host(path.read_text().strip())
        for path in sorted(PROFILES.glob('*.json'))
    ]


def distinct(count: int) -> list[Host]:
    """Return so many different hosts.

    The recorded ones come first, then the same with other versions of QEMU,
    like a fleet during an upgrade.
    """
    hosts = recorded()
    for release in itertools.count():
        if len(hosts) >= count:
            return hosts[:count]
        hosts += [
            dataclasses.replace(host, qemu=f'{host.qemu}.{release}')
            for host in recorded()
        ]
    raise AssertionError


def varied(count: int) -> list[Host]:
    """Return so many hosts that differ in what guests see.

    They are synthetic variants of the recorded ones: up to five fields of ID
    registers have another value, whether the kernel lets them be written or
    not.
    """
    draw = random.Random(count)
    fields = [
        (register.code, field)
        for register in REGISTERS.values()
        if register.judge in (Judge.FEATURES, Judge.FEATURES_32BIT)
        for field in register.fields
    ]
    bases = recorded()
    hosts: dict[tuple[Values, str | None, str | None], Host] = {}
    while len(hosts) < count:
        host = bases[len(hosts) % len(bases)]
        values = dict(host.values)
        for code, field in draw.sample(fields, draw.randint(1, 5)):
            values[code] = field.into(
                values.get(code, 0), draw.randrange(1 << field.width)
            )
        host = dataclasses.replace(
            host,
            values=Values(
                {code: value for code, value in values.items() if value}
            ),
        )
        hosts[host.values, host.qemu, host.kernel] = host
    return list(hosts.values())


def cpu_info(host: Host, length: int = 0) -> str:
    """Return the ``cpu_info`` that a compute reports for a host.

    :param length: characters; Nova's part is extended to reach it
    """
    from nova_arm_migrate.nova.records.cpu_info import put_host

    text = put_host(json.dumps(NOVA_PART), host)
    if len(text) < length:
        text = put_host(
            json.dumps(NOVA_PART | {'model': 'm' * (length - len(text))}), host
        )
    return text


def fresh(texts: list[str], count: int) -> list[str]:
    """Return strings that are separate objects, like those of a database.

    CPython stores a string's hash in the object: these have none yet.
    """
    return [
        (text[:-1] + '}')
        for text, _ in zip(itertools.cycle(texts), range(count))
    ]


def few_runs(runner: pyperf.Runner) -> None:
    """Measure briefly, unless the command line says otherwise."""
    runner.argparser.set_defaults(processes=3, values=3, warmups=1, loops=1)
