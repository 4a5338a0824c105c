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

"""Runs in a host: answers questions about it, one JSON line each.

Questions come as JSON lines on standard input: ``{"ask": "host"}``,
``{"ask": "view", "disabled": [...], "gic": 3, "memory": 134217728}``,
``{"ask": "trial", "guest": RECORD}`` or ``{"ask": "writes", "values": [[CODE,
VALUE], ...]}``. Answers are in their order.
"""

from collections.abc import Iterator
import json
import sys
from typing import Any

from nova_arm_migrate.core import record
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import tables
from nova_arm_migrate.core import vcpu
from nova_arm_migrate.core.guest_view import guest_seen
from nova_arm_migrate.probe import host
from nova_arm_migrate.probe import kvm
from nova_arm_migrate.probe import scratch

probe = host.LocalHost()
here = probe.host()


def ask_host(question: dict[str, Any]) -> dict[str, Any]:
    return {'host': json.loads(record.dump_host(here))}


def ask_view(question: dict[str, Any]) -> dict[str, Any]:
    disabled = frozenset(question['disabled'])
    seen = guest_seen(
        here,
        probe.guest_view(disabled, question['gic']),
        disabled=disabled,
        gic=question['gic'],
        memory=question['memory'],
    )
    derived = vcpu.guest_started_on(
        here, disabled=disabled, gic=question['gic'], memory=question['memory']
    )
    differ = sorted(
        f'{tables.register_of(code).name}: seen'
        f' {seen.values.read(code):#x}, derived'
        f' {derived.values.read(code):#x}'
        for code in seen.values.keys() | derived.values.keys()
        if seen.values.read(code) != derived.values.read(code)
    )
    differ += [
        f'{tables.register_of(code).name}: listed in one only'
        for code in sorted(
            (seen.reg_list or frozenset()) ^ (derived.reg_list or frozenset())
        )
    ]
    return {'guest': json.loads(record.dump_guest(seen)), 'differ': differ}


def ask_trial(question: dict[str, Any]) -> dict[str, Any]:
    trial = probe.trial(record.load_guest(json.dumps(question['guest'])))
    return {
        'ran': trial.ran,
        'why_not': trial.why_not,
        'refused': trial.refused,
        'missing': trial.missing,
        'unjudged': trial.unjudged,
        'written': trial.written,
    }


def ask_writes(question: dict[str, Any]) -> dict[str, Any]:
    """Write each value to a vCPU that is as new; 0 or the errno for each."""
    device = kvm.Kvm()
    features = device.features()
    values = iter(question['values'])
    answers: list[int] = []
    while _writes(device, features, values, answers):
        pass
    return {'errors': answers}


def _writes(
    device: kvm.Kvm,
    features: frozenset[str],
    values: Iterator[tuple[int, int]],
    answers: list[int],
) -> bool:
    """Go on until an accepted value can't be taken back; tell if so."""
    first: dict[int, int] = {}
    with scratch.machine(device, features) as machine:
        vcpu = machine.vcpu
        for code, value in values:
            number = registers.kvm_id(code)
            if code not in first:
                first[code] = vcpu.read(number)
            failure = vcpu.write(number, value)
            answers.append(failure)
            if not failure and vcpu.write(number, first[code]):
                return True
    return False


ASKS = {
    'host': ask_host,
    'view': ask_view,
    'trial': ask_trial,
    'writes': ask_writes,
}
for line in sys.stdin:
    question = json.loads(line)
    print(json.dumps(ASKS[question['ask']](question)), flush=True)
