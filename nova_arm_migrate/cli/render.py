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


"""Profiles, reports and fleets as text for people."""

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import shutil
import textwrap

from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.remedies import remedies
from nova_arm_migrate.core.remedies import Remedy
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.probe.types import Trial

_MOST_COLUMNS = 100
_UNITS = ('B', 'KiB', 'MiB', 'GiB', 'TiB')
_NONE = '-'
_LONGEST_CELL = 20
#: Attributes for which a record may have both a value and a note.
_NOTED = {
    'listed': 'registers',
    'features': 'vCPU features',
    'writable': 'writable bits',
}


def columns() -> int:
    """Return the largest width of a line."""
    return min(_MOST_COLUMNS, shutil.get_terminal_size().columns)


def wrapped(text: str, indent: str, first: str | None = None) -> str:
    """Return a text, wrapped to the terminal's width.

    :param indent: of each line; ``first``, if given, replaces it in line 1
    """
    return textwrap.fill(
        text,
        max(40, columns()),
        subsequent_indent=indent,
        initial_indent=indent if first is None else first,
        break_long_words=False,
        break_on_hyphens=False,
    )


def size(number: int) -> str:
    """Return a number of bytes in the largest whole unit: ``2 MiB``."""
    unit = 0
    while number and number % 1024 == 0 and unit < len(_UNITS) - 1:
        number //= 1024
        unit += 1
    return f'{number} {_UNITS[unit]}'


def fields_of(
    register: Register, value: int, writable: int | None = None
) -> str:
    """Return a register's fields: ``SVE=1 AdvSIMD=0*``.

    :param writable: bits; a star marks fields that may be changed
    """
    return ' '.join(
        f'{field.name}={field.of(value)}'
        + (
            '*'
            if writable is not None and field.mask & writable == field.mask
            else ''
        )
        for field in register.fields
        if value & field.mask
    )


def _core(core: Core) -> str:
    others = ', '.join(
        f'{name} {number:#x}'
        for name, number in (
            ('MIDR', core.midr),
            ('REVIDR', core.revidr),
            ('AIDR', core.aidr),
        )
        if number is not None
    )
    return f'CPUs {core.cpus}: {core_name(core.midr)} ({others})'


def _properties(host: Host) -> Iterator[tuple[str, str, str]]:
    """Yield attribute, title, and value as text; empty if it is absent."""
    for core in host.cores:
        yield 'cores', 'cores', _core(core)
    if not host.cores:
        yield 'cores', 'cores', ''
    yield 'kernel', 'kernel', host.kernel or ''
    yield 'qemu', 'QEMU', host.qemu or ''
    yield 'libvirt', 'libvirt', host.libvirt or ''
    yield (
        'features',
        'vCPU features',
        ', '.join(sorted(host.features))
        or ('none' if host.listed is not None else ''),
    )
    yield 'sve_lengths', 'SVE lengths', _list(host.sve_lengths, 'bits')
    yield (
        'page_size',
        'page size',
        size(host.page_size) if host.page_size else '',
    )
    yield (
        'huge_page_sizes',
        'huge pages',
        ', '.join(map(size, host.huge_page_sizes)) or 'none'
        if host.huge_page_sizes is not None
        else '',
    )
    yield (
        'ipa_bits',
        'IPA size',
        f'{host.ipa_bits} bits' if host.ipa_bits else '',
    )
    yield 'gic', 'GIC', _list(host.gic)
    yield (
        'vgics',
        'GIC registers',
        '; '.join(filter(None, map(_vgic, host.vgics))) or 'none'
        if host.vgics is not None
        else '',
    )
    yield (
        'tried',
        'unlike tables',
        _tried(host.tried) or 'nothing' if host.tried is not None else '',
    )
    yield 'cntfrq', 'timer', f'{host.cntfrq} Hz' if host.cntfrq else ''
    yield (
        'dczid',
        'DCZID_EL0',
        f'{host.dczid:#x}' if host.dczid is not None else '',
    )
    yield (
        'hwcap',
        'HWCAP',
        ', '.join(f'{word:#x}' for word in host.hwcap)
        if host.hwcap is not None
        else '',
    )
    yield (
        'capabilities',
        'capabilities',
        ', '.join(
            name if value == 1 else f'{name}={value}'
            for name, value in host.capabilities
        )
        or (
            'none'
            if host.listed is not None
            and 'capabilities' not in dict(host.absent)
            else ''
        ),
    )
    yield (
        'listed',
        'registers',
        f'{len(host.listed)} listed' if host.listed is not None else '',
    )


def _vgic(vgic: Vgic) -> str:
    registers = ', '.join(
        f'{name} {value:#x}'
        for name, value in (
            ('ICC_CTLR_EL1', vgic.ctlr),
            ('GICD_IIDR', vgic.distributor),
            ('GICR_IIDR', vgic.redistributor),
        )
        if value is not None
    )
    return f'GICv{vgic.version}: {registers}' if registers else ''


def _tried(tried: Tried) -> str:
    """``ID_AA64MMFR2_EL1.NV takes 0, 2 and ignores 2``."""
    return '; '.join(
        f'{register_of(code).name}.{field.name} takes'
        f' {_values(answer.accepted)}'
        + (f' and ignores {_values(answer.ignored)}' if answer.ignored else '')
        for code, answers in tried.items()
        for answer in answers
        for field in register_of(code).fields
        if answer.is_of(field)
    )


def _values(bits: int) -> str:
    return ', '.join(
        str(value) for value in range(bits.bit_length()) if bits >> value & 1
    )


def _list(numbers: Sequence[int] | None, unit: str = '') -> str:
    if numbers is None:
        return ''
    return (
        f'{", ".join(map(str, numbers))} {unit}'.strip() if numbers else 'none'
    )


def host_table(host: Host) -> str:
    """Return a host's profile as a table; absent parts come last."""
    lines = []
    absent: dict[str, list[str]] = {}
    for attribute, title, text in _properties(host):
        if text:
            lines.append(wrapped(text, ' ' * 16, f'{title:<16}'))
        else:
            absent.setdefault(host.why_absent(attribute), []).append(title)
    if host.values:
        lines += [
            '',
            'Registers that a guest sees (* writable):',
            *_registers(host.values, host.writable),
        ]
    if absent:
        lines += ['', 'Absent:']
        lines += [
            wrapped(f'{", ".join(titles)}: {reason}', '    ', '  ')
            for reason, titles in absent.items()
        ]
    notes = list(_notes(host))
    if notes:
        lines += ['', 'Notes:', *notes]
    return '\n'.join(lines)


def _notes(host: Host) -> Iterator[str]:
    """Yield the record's notes about the origin of its values."""
    if host.listed is not None:
        for attribute, reason in host.absent:
            title = _NOTED.get(attribute)
            if title and getattr(host, attribute) is not None:
                yield wrapped(f'{title}: {reason}', '    ', '  ')


def _registers(values: Values, writable: Values | None) -> Iterable[str]:
    for code, value in values.items():
        register = register_of(code)
        mask = None if writable is None else writable.read(code)
        text = fields_of(register, value, mask)
        if mask and not register.fields:
            text = '*'
        yield f'{register.name:<24}{value:#x}'
        if text:
            yield wrapped(text, '    ')


def _findings(findings: Sequence[Finding]) -> Iterator[str]:
    """Yield a line for each finding, then a sentence for each kind."""
    if not findings:
        return
    rows = [
        ('', 'field', 'guest', 'host', 'rule'),
        *(_row(finding) for finding in findings),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield '  '.join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
    kinds: dict[tuple[Cause, tuple[Remedy, ...]], list[Finding]] = {}
    for finding in findings:
        kinds.setdefault((finding.cause, remedies(finding)), []).append(
            finding
        )
    for same in kinds.values():
        more = (
            f' (and {len(same) - 1} similar findings)' if len(same) > 1 else ''
        )
        yield ''
        yield wrapped(sentence(same[0]) + more, '  ')


def _row(finding: Finding) -> tuple[str, str, str, str, str]:
    severity = 'overridden' if finding.overridden else finding.severity.value
    return (
        severity,
        finding.label,
        _cell(finding, finding.guest),
        _cell(finding, finding.host),
        finding.rule,
    )


def _cell(finding: Finding, value: int | str | None) -> str:
    """Return a value's name, or its number if the name is too long."""
    text = _NONE if value is None else finding.shown(value)
    if len(text) > _LONGEST_CELL:
        text = text.partition(' (')[0]
    return (
        text
        if len(text) <= _LONGEST_CELL
        else text[: _LONGEST_CELL - 3] + '...'
    )


def report_table(report: Report) -> str:
    """Return a report as text, the most severe finding first."""
    return '\n'.join(
        [f'verdict: {report.verdict.value}', *_findings(report.findings)]
    )


def trial_table(trial: Trial) -> str:
    """Return the result of a trial as text."""
    if not trial.ran:
        return f'trial: not done: {trial.why_not}'
    lines = [
        f'trial: {trial.written} registers written,'
        f' {len(trial.refused)} refused, {len(trial.missing)} missing'
    ]
    lines += [
        f'  refused   {register_of(code).name} ({name})'
        for code, name in trial.refused
    ]
    lines += [
        f'  missing   {register_of(code).name}' for code in trial.missing
    ]
    lines += [
        f'  unjudged  {register_of(code).name}' for code in trial.unjudged
    ]
    return '\n'.join(lines)


def fleet_table(common: Baseline, fleet: Fleet, names: Sequence[str]) -> str:
    """Return a baseline, its conflicts and a fleet's pools as text.

    :param names: of the hosts from which the baseline was made
    """
    guest = common.guest
    lines = [
        'Baseline: the most that a guest may have to run on all hosts',
        f'  switch off  {", ".join(sorted(guest.disabled)) or "none"}',
        f'  SVE lengths {_list(guest.sve_lengths, "bits") or _NONE}',
    ]
    for code, value in guest.values.items():
        register = register_of(code)
        lines.append(f'  {register.name:<24}{value:#x}')
    lines += ['', 'Conflicts: why hosts refuse even the baseline']
    against: dict[str, list[Finding]] = {}
    for conflict in common.conflicts:
        against.setdefault(names[conflict.host], []).append(conflict.finding)
    for name, findings in against.items():
        lines.append(f'{name}:')
        lines += [textwrap.indent(line, '  ') for line in _findings(findings)]
    if not against:
        lines.append('  none')
    lines += ['', 'Pools: guests move both ways between hosts of one pool']
    for place, pool in enumerate(fleet.pools):
        there = sorted(j + 1 for i, j in fleet.one_way if i == place)
        onward = (
            f' (one way to pool {", ".join(map(str, there))})' if there else ''
        )
        lines.append(
            wrapped(
                ', '.join(pool.names) + onward, ' ' * 6, f'  {place + 1:<4}'
            )
        )
    return '\n'.join(lines)
