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

"""A host's profile, made from a dump of one vCPU's registers.

Other tools dump what KVM_GET_ONE_REG returns. This module reads this form::

    {"kernel": "6.18.30", "registers": {"0x603000000013c020": "0x11...", ...}}

Keys are KVM's register ids. ``kernel`` is the release of the host's kernel, as
``uname -r`` prints it. Other keys are ignored. A dump has less than a probe
reads. What it does not have is absent in the profile, with the reason; it is
never invented.
"""

import dataclasses
import json
import re
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import code_of
from nova_arm_migrate.core.registers import kvm_id
from nova_arm_migrate.core.registers import sysreg
from nova_arm_migrate.core.tables import keeps_value
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.special import MIDR_EL1
from nova_arm_migrate.core.vcpu import has_32bit_el0

#: Characters; a dump of all registers of a vCPU with SVE has about 100,000.
LONGEST = 1 << 18
_MOST_REGISTERS = 2048
_ID = re.compile(r'0x60[0-9a-f]{14}')
_VALUE = re.compile(r'0x[0-9a-f]{1,16}')
_RELEASE = re.compile(r'[\x20-\x7e]{0,120}')

#: If KVM lists a timer's compare value, it lists its count too (Linux 6.12:
#: ``timer_reg_list`` in ``guest.c``). Dumps made for comparison leave the
#: counts out, because they change all the time. The numbers are those of KVM's
#: interface, in which CNTV_CVAL_EL0 and CNTVCT_EL0 are swapped.
_COUNTS = {
    sysreg(3, 3, 14, 0, 2): (sysreg(3, 3, 14, 3, 2), 'CNTVCT_EL0'),
    sysreg(3, 3, 14, 2, 2): (sysreg(3, 3, 14, 0, 1), 'CNTPCT_EL0'),
}
_NOT_TOLD = (
    'sve_lengths',
    'capabilities',
    'gic',
    'vgics',
    'tried',
    'hypercalls',
    'own_caches',
    'ipa_bits',
    'page_size',
    'huge_page_sizes',
    'cntfrq',
    'dczid',
    'hwcap',
    'qemu',
    'libvirt',
)


def host_of_dump(text: str, masks: Host | None = None) -> Host:
    """Return the profile of the host that a dump was taken on.

    :param masks: a host with the same kernel, whose writable masks are used:
        KVM's masks are constants in its source. With None they are absent
    :raises ProfileError: if the text is not such a dump, or ``masks`` has no
        masks for this core
    """
    dump = _object(text)
    registers = _registers(dump.get('registers'))
    if not registers.get(MIDR_EL1):
        raise ProfileError(
            "registers: not a vCPU's registers, MIDR_EL1 is missing"
        )
    kernel = dump.get('kernel')
    if kernel is not None and not (
        isinstance(kernel, str) and _RELEASE.fullmatch(kernel)
    ):
        raise ProfileError(
            f'kernel: {forms.quote(kernel)} is not a kernel release'
        )
    absent = dict.fromkeys(_NOT_TOLD, 'not in a dump of registers')
    absent['cores'] = 'a dump of registers has one core only'
    absent['writable'] = 'not in a dump of registers, and no masks were given'
    reg_list = set(registers)
    added = [
        (code, name)
        for timer, (code, name) in _COUNTS.items()
        if timer in reg_list and code not in reg_list
    ]
    if added:
        reg_list |= {code for code, _ in added}
        names = ', '.join(name for _, name in added)
        absent['reg_list'] = f'{names} added, because a dump leaves them out'
    features = frozenset(
        name
        for name, feature in FEATURES.items()
        if feature.registers & reg_list
    )
    lacking = sorted({'pauth', 'pmu', 'sve'} - features)
    if lacking:
        absent['features'] = (
            f"the dump's vCPU had no {', '.join(lacking)};"
            ' it is not known whether the host has it'
        )
    host = Host(
        values=Values(
            {
                code: value
                for code, value in registers.items()
                if value and keeps_value(code)
            }
        ),
        reg_list=frozenset(reg_list),
        features=features,
        kernel=kernel,
        writable=None if masks is None else masks.writable,
    )
    if masks is not None:
        absent['writable'] = _borrowed(host, masks)
    return dataclasses.replace(host, absent=tuple(sorted(absent.items())))


def _borrowed(host: Host, masks: Host) -> str:
    """Return a text that says from which host the masks are.

    :raises ProfileError: if the masks do not fit the host
    """
    if not masks.writable:
        raise ProfileError(
            'the record has no writable masks: ' + masks.why_absent('writable')
        )
    if has_32bit_el0(host) and not has_32bit_el0(masks):
        # aa32_id_visibility() hides the masks of AArch32 registers.
        raise ProfileError(
            'the masks are of a host without 32-bit EL0, but the dump is of'
            ' a host with 32-bit EL0'
        )
    return f"masks of another host's record, Linux {masks.kernel or 'unknown'}"


def _object(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ProfileError(
            f'dump has {len(text)} characters, more than {LONGEST}'
        )
    try:
        dump = json.loads(text, object_pairs_hook=_unique)
    except ProfileError:
        raise
    except (ValueError, RecursionError):
        raise ProfileError('dump is not JSON') from None
    if not isinstance(dump, dict):
        raise ProfileError('dump is not a JSON object')
    return dump


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ProfileError('dump has the same key twice')
    return found


def _registers(given: object) -> dict[int, int]:
    """Return the values by code, without CPU state."""
    if not isinstance(given, dict):
        raise ProfileError('registers: missing, or not a JSON object')
    if len(given) > _MOST_REGISTERS:
        raise ProfileError(f'registers: more than {_MOST_REGISTERS}')
    found = {}
    for key, value in given.items():
        if not _ID.fullmatch(key):
            raise ProfileError(
                f"registers: {forms.quote(key)} is not KVM's id of"
                ' an Arm64 register'
            )
        number = int(key, 16)
        code = code_of(number)
        if code is None:
            continue
        if kvm_id(code) != number:
            raise ProfileError(
                f"registers: {forms.quote(key)} is not KVM's id of"
                ' an Arm64 register'
            )
        if not isinstance(value, str) or not _VALUE.fullmatch(value):
            raise ProfileError(
                f'registers: {forms.quote(value)} is not a register value'
            )
        found[code] = int(value, 16)
    return found
