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

"""The sentences about members that refuse a baseline, and what may help."""

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.causes import LACKING
from nova_arm_migrate.core.crossing import Refusal

#: By cause, if the host does not accept what the baseline has.
#: ``{baseline}`` and ``{host}`` are the two values.
_ACCEPTS = {
    Cause.ABOVE: (
        'The baseline has {name} = {baseline}. {member} offers at most {host}.'
    ),
    Cause.FIXED: (
        'The baseline has {name} = {baseline}, {member} has {host}. KVM there'
        ' does not let a guest have another value.'
    ),
    Cause.IMPLEMENTATION: (
        'The baseline has {name} = {baseline}, {member} has {host}. KVM there'
        ' does not let a guest have another value: it does not have'
        ' KVM_CAP_ARM_WRITABLE_IMP_ID_REGS.'
    ),
    Cause.TIMER: (
        'The timer runs at {baseline} Hz in the baseline and at {host} Hz on'
        ' {member}. Guests read it from the hardware.'
    ),
    Cause.CACHE_ZERO: (
        '{name} is {baseline} in the baseline and {host} on {member}. Guests'
        ' read it from the hardware.'
    ),
    Cause.SVE_LENGTHS: (
        'The baseline has SVE vectors of {baseline} bits, {member} has {host}.'
    ),
    Cause.SWITCH: (
        'Guests of the baseline have no {name}, because not all members have'
        ' it. {member} does not have it, and QEMU there does not know the'
        ' property that switches it off, so it does not start the guests of'
        ' members that have it.'
    ),
    Cause.SWITCH_UNKNOWN: (
        'Guests of the baseline have no {name}, because not all members have'
        ' it. {member} does not have it, and it is not known whether QEMU'
        ' there knows the property that switches it off.'
    ),
    Cause.NOT_RECORDED: "{name} of {member} can't be judged: {detail}.",
    Cause.GUEST_NOT_RECORDED: (
        "{name} can't be judged: the baseline does not have it."
    ),
}
_IMPLEMENTATION = (
    '{member} has {host}, which is not among the implementations of the'
    ' baseline: {baseline}.'
)
_OTHERWISE = (
    'The baseline has {name} = {baseline}, {member} has {host}, and does not'
    ' accept the value of the baseline.'
)
_LACKS = 'Guests have the register {label}, which {member} does not have.'
_GIVES = (
    'A guest that starts on {member} has {name} = {host}, and nothing can'
    ' change it there. The baseline has {baseline}.'
)
_GIVES_REGISTER = (
    'A guest that starts on {member} has the register {label}, which the'
    ' baseline does not have. QEMU on other members may refuse it.'
)
_GIVES_SWITCH = (
    'A guest of the baseline that starts on {member} has its {name} switched'
    ' off there. The other members have no {name}, and QEMU there may not'
    ' know the property that switches it off.'
)
_GIVES_UNKNOWN = "{name} of {member} can't be judged: {detail}."

_LINES = frozenset({'CTR_EL0.DminLine', 'CTR_EL0.IminLine'})


def sentence(refusal: Refusal, member: str) -> str:
    """Return the sentence about a refusal.

    :param member: the host's name
    """
    finding = refusal.finding
    cause = finding.cause
    if refusal.starts:
        words = _GIVES_REGISTER if cause in LACKING else _GIVES
        if cause in (Cause.NOT_RECORDED, Cause.GUEST_NOT_RECORDED):
            words = _GIVES_UNKNOWN
        elif cause in (Cause.SWITCH, Cause.SWITCH_UNKNOWN):
            words = _GIVES_SWITCH
        host, baseline = finding.guest, finding.host
    else:
        words = _LACKS if cause in LACKING else _ACCEPTS.get(cause, _OTHERWISE)
        if finding.name == 'IMPLEMENTATION':
            words = _IMPLEMENTATION
        host, baseline = finding.host, finding.guest
    text = words.format(
        name=finding.name,
        label=finding.label,
        member=member,
        host=finding.shown(host),
        baseline=finding.shown(baseline),
        detail=finding.detail,
    )
    helps = remedy(refusal)
    return f'{text} {helps}' if helps else text


def brief(refusal: Refusal, member: str) -> str:
    """Return a short form: ``ID_AA64PFR0_EL1.SVE: baseline 1, host-b 0``."""
    finding = refusal.finding
    host, baseline = finding.host, finding.guest
    if refusal.starts:
        host, baseline = baseline, host
    if finding.cause in LACKING:
        where = 'the baseline' if refusal.starts else member
        return f'{finding.label}: not on {where}'
    if host is None and baseline is None:
        return f'{finding.name}: {finding.detail or "not known"}'
    return (
        f'{finding.name}: baseline {finding.shown(baseline)},'
        f' {member} {finding.shown(host)}'
    )


def remedy(refusal: Refusal) -> str:
    """Return what an operator can set to make the host a member, or ''."""
    finding = refusal.finding
    if finding.cause is Cause.TIMER:
        return (
            'Set the frequency of the system counter to one value in the'
            ' firmware of all members, if the firmware has that setting.'
        )
    if finding.cause in (Cause.SWITCH, Cause.SWITCH_UNKNOWN):
        return (
            'Keep hosts with and without it in pools of their own, each with'
            ' its own baseline.'
        )
    if finding.cause is Cause.CACHE_ZERO:
        return 'No firmware setting changes it.'
    if finding.cause is Cause.SVE_LENGTHS:
        return (
            'Compute the baseline with this host too, or lower the lengths in'
            ' the file. Some firmware limits the lengths (ZCR_EL3.LEN).'
        )
    if finding.name in _LINES and finding.cause is Cause.ABOVE:
        return (
            "The host's cache lines are smaller than guests are told. No"
            ' firmware setting changes it; lower the field in the baseline.'
        )
    if finding.cause is Cause.IMPLEMENTATION:
        return 'Linux has the capability since 6.15.'
    return ''
