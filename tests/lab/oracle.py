# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""The predictions for a migration: our verdict, and libvirt's.

Code that needs a host's own /dev/kvm runs in that host; code that works on
records runs here.
"""

import collections.abc
import dataclasses
import json
import pathlib
import re
import tempfile
import typing
import xml.etree.ElementTree

from nova_arm_migrate.core import compare
from nova_arm_migrate.core import profile
from nova_arm_migrate.core import record
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import trial as trials
from nova_arm_migrate.core import verdict as verdicts
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import spec

PACKAGE = pathlib.Path(__file__).parents[2] / 'nova_arm_migrate'
MEMORY = guests.MEMORY_MIB << 20
# QEMU adds a GiB for each slot, and aligns the memory that can be added.
_MORE_MEMORY = 2

Answer = dict[str, typing.Any]


def prepare(host: hosts.Host) -> None:
    """Copy the package under test into a host."""
    host.channel.put(PACKAGE, '/lab/py/nova_arm_migrate')
    host.channel.put(
        pathlib.Path(__file__).parent / 'files/ask.py', '/lab/py/ask.py'
    )


def started(
    lab: hosts.Lab, specs: collections.abc.Sequence[spec.Spec]
) -> collections.abc.Iterator[hosts.Host]:
    """Start hosts, two at a time; yield each, and pause it afterwards.

    A yielded host has what guests and this module's questions need.
    """
    for place in range(0, len(specs), 2):
        pair = lab.up(*specs[place : place + 2])
        for host in pair:
            guests.prepare(host)
            prepare(host)
        for host in pair:
            yield host
            host.pause()


def ask(
    host: hosts.Host, questions: collections.abc.Sequence[Answer]
) -> list[Answer]:
    """Return the host's answers, from one run of Python there.

    :raises LabError: with the last line of the error there
    """
    text = '\n'.join(json.dumps(question) for question in questions)
    done = host.channel.sh(
        'cd /lab/py && python3 ask.py', text.encode() + b'\n', timeout=1200
    )
    answers = [json.loads(line) for line in done.out.splitlines()]
    if done.rc or len(answers) != len(questions):
        raise errors.LabError(
            f'asking host {host.name}: {guests.last_line(done.err)}'
        )
    return answers


def view(guest_spec: spec.Spec) -> Answer:
    """Return the question what a guest sees that starts there."""
    states = guest_spec.feature_states
    return {
        'ask': 'view',
        'disabled': [name for name, on in states.items() if not on],
        'gic': guest_spec.guest_gic,
        'memory': memory(guest_spec),
    }


def memory(guest_spec: spec.Spec) -> int:
    """Return the bytes of guest addresses below QEMU's device windows.

    Source: ``virt_set_memmap`` in QEMU's ``hw/arm/virt.c``.
    """
    if not guest_spec.max_memory:
        return MEMORY
    return (guest_spec.max_memory + _MORE_MEMORY) << 30


def trial(guest: profile.Guest) -> Answer:
    """Return the question whether a scratch vCPU accepts a guest."""
    return {'ask': 'trial', 'guest': json.loads(record.dump_guest(guest))}


def host_profile(host: hosts.Host) -> profile.Host:
    """Return the profile of a host from our probe."""
    answer = ask(host, [{'ask': 'host'}])[0]
    return record.load_host(json.dumps(answer['host']))


@dataclasses.dataclass(frozen=True)
class Said:
    """Our verdicts on one pair."""

    static: str
    trial: str
    verdict: str
    why: str
    scheduler: str


def said(guest: profile.Guest, host: profile.Host, answer: Answer) -> Said:
    """Combine a trial's answer with the comparison of the records."""
    static = compare.compare(guest, host)
    passes = trials.before_trial(static).verdict is verdicts.Verdict.COMPATIBLE
    scheduler = 'passes' if passes else 'drops'
    if not answer['ran']:
        return Said(
            static.verdict.value,
            'not run',
            static.verdict.value,
            answer['why_not'],
            scheduler,
        )
    final, differ = trials.with_trial(
        static,
        guest,
        refused=dict(answer['refused']),
        missing=answer['missing'],
        unjudged=answer['unjudged'],
    )
    against = [code for code, _ in answer['refused']] + answer['missing']
    trial = 'refuses' if against else 'accepts'
    why = '; '.join(
        f'{one.register}: rule {one.static}, trial {one.trial}'
        for one in differ
    )
    return Said(
        static.verdict.value,
        trial,
        final.verdict.value,
        why or _reason(final),
        scheduler,
    )


def _reason(report: verdicts.Report) -> str:
    decisive = report.decisive
    if not decisive:
        return ''
    more = f' (+{len(decisive) - 1} more)' if len(decisive) > 1 else ''
    return decisive[0].brief('host') + more


def midr(guest: profile.Guest) -> int:
    return guest.values.read(registers.code_of(0x603000000013C000) or 0)


def cpu_xml(capabilities: str) -> str:
    """Return the host CPU from ``virsh capabilities``."""
    tree = xml.etree.ElementTree.fromstring(capabilities)
    cpu = tree.find('host/cpu')
    if cpu is None:
        return '<cpu/>'
    return xml.etree.ElementTree.tostring(cpu, encoding='unicode')


def capabilities(host: hosts.Host) -> str:
    """Return libvirt's description of a host's CPU."""
    done = guests.client(host, 'capabilities')
    if done.returncode:
        raise errors.LabError(
            f'capabilities of {host.name}: {guests.last_line(done.stderr)}'
        )
    return cpu_xml(done.stdout)


_COMPARED = re.compile(r' is (identical|incompatible|a superset)')


def libvirt_words(output: str, failure: str) -> str:
    """Summarise the output of a cpu-compare command in a word or two."""
    match = _COMPARED.search(output)
    if match:
        return match[1].removeprefix('a ')
    if 'does not support reporting CPU model' in failure:
        return 'error: unsupported'
    return 'error: ' + guests.last_line(failure)[:100]


def libvirt_compare(host: hosts.Host, cpu: str) -> tuple[str, str]:
    """Return libvirt's cpu-compare and hypervisor-cpu-compare on *host*."""
    with tempfile.NamedTemporaryFile('w', suffix='.xml') as file:
        file.write(cpu)
        file.flush()
        words = []
        for command in ('cpu-compare', 'hypervisor-cpu-compare'):
            done = guests.client(host, command, file.name)
            words.append(libvirt_words(done.stdout, done.stderr))
    return words[0], words[1]
