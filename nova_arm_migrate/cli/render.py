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

from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.baseline import Baseline
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.core.pools import Fleet
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record_forms import VectorLengths
from nova_arm_migrate.core.registers import Register
from nova_arm_migrate.core.remedies import remedies
from nova_arm_migrate.core.remedy import Remedy
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Report

_MOST_COLUMNS = 100
_NONE = '-'
_LONGEST_CELL = 20
#: The order in which people read a profile; others come last.
_FIRST = (
    'cores',
    'kernel',
    'qemu',
    'libvirt',
    'features',
    'sve_lengths',
    'page_size',
    'huge_page_sizes',
    'ipa_bits',
    'gic',
    'vgics',
    'tried',
    'cntfrq',
    'dczid',
    'hwcap',
    'capabilities',
    'reg_list',
)
#: Attributes whose value in a record can come with a note (`Host.absent`).
_NOTED = {
    'reg_list': 'registers',
    'features': 'vCPU features',
    'writable': 'writable bits',
}


def columns() -> int:
    """Return the largest width of a line."""
    return min(_MOST_COLUMNS, shutil.get_terminal_size().columns)


def wrapped(
    text: str, indent: str, first: str | None = None, less: int = 0
) -> str:
    """Return a text, wrapped to the terminal's width.

    :param indent: of each line; ``first``, if given, replaces it in line 1
    :param less: columns of the terminal that something else takes
    """
    return textwrap.fill(
        text,
        max(40, columns() - less),
        subsequent_indent=indent,
        initial_indent=indent if first is None else first,
        break_long_words=False,
        break_on_hyphens=False,
    )


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


def _properties(host: Host) -> Iterator[tuple[str, str, str]]:
    """The attribute, its title, and a line of its value if there is one."""
    titled = {one.name: one for one in attributes_of(Host) if one.title}
    others = [name for name in titled if name not in _FIRST]
    for name in (*_FIRST, *others):
        one, value = titled[name], getattr(host, name)
        text = '' if value is None else one.form.show(value)
        if value == one.default and (
            host.reg_list is None or name in dict(host.absent)
        ):
            # KVM was not asked: that is not "none".
            text = ''
        for line in text.split('\n'):
            yield name, one.title, line


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
    if host.reg_list is not None:
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


def findings_text(findings: Sequence[Finding], less: int = 0) -> str:
    """Return findings as a table, then a sentence for each kind.

    :param less: columns of the terminal that something else takes
    """
    return '\n'.join(_findings(findings, less))


def _findings(findings: Sequence[Finding], less: int = 0) -> Iterator[str]:
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
        yield wrapped(sentence(same[0]) + more, '  ', less=less)


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


def baseline_lines(guest: Guest) -> Iterator[str]:
    """Yield the lines that describe a baseline."""
    lengths = _NONE
    if guest.sve_lengths is not None:
        lengths = VectorLengths().show(guest.sve_lengths)
    yield f'switch off  {", ".join(sorted(guest.disabled)) or "none"}'
    yield f'SVE lengths {lengths}'
    for code, value in guest.values.items():
        yield f'{register_of(code).name:<24}{value:#x}'


def fleet_table(common: Baseline, fleet: Fleet, names: Sequence[str]) -> str:
    """Return a baseline, its conflicts and a fleet's pools as text.

    :param names: of the hosts from which the baseline was made
    """
    lines = [
        'Baseline: the most that a guest may have to run on all hosts',
        *(f'  {line}' for line in baseline_lines(common.guest)),
    ]
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
