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

"""Directives that print what the code has, so that the pages stay true.

``arm-findings``    every cause of a finding, with its words and remedies
``arm-members``     why a host can't be a member of a guest CPU baseline's pool
``arm-registers``   every register and field, with KVM's rule
``arm-job``         what follows a migration job whose libvirt call has raised
``arm-command``     the help of a command: ``arm-command:: compare``
``arm-silicon``     what real CPUs can do: ``arm-silicon:: update``, ``cores``
                    or ``profiles``
``arm-crossing``    baselines of different cores: ``arm-crossing:: pairs``,
                    ``gives-up`` (of real cores), ``gives-up-emulated``,
                    ``joining`` (fields that KVM does not let a VMM write),
                    ``errata`` or ``allowed``
"""

import argparse
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Sequence
import os
import pathlib

from docutils import nodes
from docutils.parsers import rst
import from_causes
from sphinx import addnodes
from sphinx.application import Sphinx

from nova_arm_migrate.cli import main
from nova_arm_migrate.core import baseline_changes
from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import crossing_words
from nova_arm_migrate.core import finding
from nova_arm_migrate.core import job
from nova_arm_migrate.core import messages
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import remedies
from nova_arm_migrate.core import rules
from nova_arm_migrate.core import tables
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.causes import LACKING
from nova_arm_migrate.core.tables import implementations
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.nova.monitoring import declared
from tests import silicon
from tools.kernel_tables import check
from tools.kernel_tables import facts

_KERNELS = (
    pathlib.Path(__file__).parents[3] / 'tools' / 'kernel_tables' / 'kernels'
)
_BY_FIELD = (registers.Judge.FEATURES, registers.Judge.FEATURES_32BIT)

#: The content of each cell.
Row = tuple[list[nodes.Node], ...]


def _table(
    headings: Sequence[str], widths: Sequence[int], rows: Iterable[Row]
) -> nodes.table:
    table = nodes.table(classes=['colwidths-given'])
    group = nodes.tgroup(cols=len(widths))
    table += group
    for width in widths:
        group += nodes.colspec(colwidth=width)
    head = nodes.thead()
    head += _row([nodes.Text(heading)] for heading in headings)
    body = nodes.tbody()
    for row in rows:
        body += _row(row)
    group += [head, body]
    return table


def _row(cells: Iterable[list[nodes.Node]]) -> nodes.row:
    row = nodes.row()
    for content in cells:
        paragraph = nodes.paragraph()
        paragraph += content
        entry = nodes.entry()
        entry += paragraph
        row += entry
    return row


def _plain(text: str) -> list[nodes.Node]:
    return [nodes.Text(text)]


def _literal(text: str) -> list[nodes.Node]:
    return [nodes.literal(text, text)]


class Findings(rst.Directive):
    def run(self) -> list[nodes.Node]:
        return [
            _table(
                ('Finding', 'What it says', 'What may help'),
                (15, 40, 45),
                [self._row(cause) for cause in Cause],
            )
        ]

    @staticmethod
    def _row(cause: Cause) -> Row:
        found = from_causes.generic(cause)
        link = addnodes.pending_xref(
            '',
            nodes.inline(cause.value, cause.value),
            refdomain='std',
            reftype='ref',
            reftarget=from_causes.label(cause),
            refexplicit=True,
            refwarn=True,
        )
        return (
            [link],
            _plain(messages.words(found)),
            _plain(
                '; '.join(
                    remedy.text(found) for remedy in remedies.remedies(found)
                )
            ),
        )


class Metrics(rst.Directive):
    def run(self) -> list[nodes.Node]:
        return [
            _table(
                ('Metric', 'Type', 'What it shows', 'Labels'),
                (30, 9, 33, 28),
                [self._row(metric) for metric in declared.ALL],
            )
        ]

    @staticmethod
    def _row(metric: declared.Metric) -> Row:
        labels: list[nodes.Node] = []
        for label in metric.labels:
            if labels:
                labels.append(nodes.Text('; '))
            labels += _literal(label.name)
            labels.append(
                nodes.Text(f': {label.meaning or ", ".join(label.values)}')
            )
        return (
            _literal(metric.name),
            _plain(metric.kind.value),
            _plain(metric.text),
            labels,
        )


#: A cause, the field's name, whether it is about what starts on the host, and
#: what helps if the code has no own remedy.
_MEMBERS = (
    (Cause.NOT_ALLOWED, 'IMPLEMENTATION', '', False, 'again'),
    (Cause.IMPLEMENTATION, 'MIDR_EL1', '', False, 'again'),
    (Cause.ABOVE, 'REGISTER', 'FIELD', False, 'lower'),
    (Cause.ABOVE, 'CTR_EL0', 'DminLine', False, 'lower'),
    (Cause.FIXED, 'REGISTER', 'FIELD', False, 'again'),
    (Cause.MISSING, 'REGISTER', '', False, 'again'),
    (Cause.SVE_LENGTHS, 'SVE_LENGTHS', '', False, 'again'),
    (Cause.TIMER, 'CNTFRQ_EL0', '', False, 'again'),
    (Cause.CACHE_ZERO, 'DCZID_EL0', '', False, 'again'),
    (Cause.NOT_RECORDED, 'REGISTER', 'FIELD', False, 'record'),
    (Cause.GUEST_NOT_RECORDED, 'REGISTER', 'FIELD', False, 'again'),
    (Cause.FIRMWARE_LEVEL, 'REGISTER', '', False, 'again'),
    (Cause.ABOVE, 'REGISTER', 'FIELD', True, 'again'),
    (Cause.MISSING, 'REGISTER', '', True, 'again'),
)
_HELPS = {
    'again': 'Make the baseline again with this host. If there is none, the'
    ' command prints the pools that are possible.',
    'lower': 'Lower the field in the file, or make the baseline again with'
    ' this host.',
    'record': 'Probe the host again with this version, as root.',
}


class Members(rst.Directive):
    def run(self) -> list[nodes.Node]:
        return [
            _table(
                ('Sentence', 'What may help'),
                (50, 50),
                [self._row(*row) for row in _MEMBERS],
            )
        ]

    @staticmethod
    def _row(
        cause: Cause, register: str, field: str, starts: bool, helps: str
    ) -> Row:
        refusal = crossing.Refusal(
            finding.Finding(
                cause,
                finding.Severity.BLOCKS,
                register,
                field,
                guest='H' if starts else 'B',
                host='B' if starts else 'H',
                detail='…',
            ),
            starts,
        )
        own = crossing_words.remedy(refusal)
        text = crossing_words.sentence(refusal, 'HOST').removesuffix(own)
        return _plain(text), _plain(own or _HELPS[helps])


class Registers(rst.Directive):
    def run(self) -> list[nodes.Node]:
        self.kernels = sorted(
            (
                facts.load(path.read_text('ascii'))
                for path in _KERNELS.iterdir()
            ),
            key=lambda kernel: kernel.number,
        )
        rows = []
        for register in tables.REGISTERS.values():
            if register.fields and register.judge in _BY_FIELD:
                rows += [
                    self._field(register, field) for field in register.fields
                ]
            elif not register.name.startswith('S3_'):
                judge = rules.JUDGES[register.judge].__doc__ or ''
                rows.append(
                    (
                        _literal(register.name),
                        _plain('all'),
                        _plain(judge.partition('\n')[0]),
                        _plain(''),
                        _plain(''),
                    )
                )
        return [
            _table(
                (
                    'Register and field',
                    'Bits',
                    'Rule',
                    'Writable in',
                    'Other kernels',
                ),
                (36, 9, 22, 13, 20),
                rows,
            )
        ]

    def _field(
        self, register: registers.Register, field: registers.Field
    ) -> Row:
        there = [
            (kernel.series, self._facts(kernel, register, field))
            for kernel in self.kernels
        ]
        known = [
            (series, found)
            for series, found in there
            if found is not None and found.rule
        ]
        other = [
            f'{series}: {check.described(found)}'
            for series, found in known
            if check.described(found) != check.described(known[-1][1])
        ]
        lacking = [
            series
            for series, found in there
            if not (found is not None and found.rule)
        ]
        if known and lacking:
            other.append('not in ' + ', '.join(lacking))
        return (
            _literal(f'{register.name}.{field.name}'),
            _plain(self._bits(field)),
            _plain(self._rule(field)),
            _plain(
                ', '.join(series for series, found in known if found.writable)
            ),
            _plain('; '.join(other)),
        )

    @staticmethod
    def _facts(
        kernel: facts.Facts,
        register: registers.Register,
        field: registers.Field,
    ) -> facts.Field | None:
        found = kernel.register(register.code)
        return (
            next(
                (
                    one
                    for one in found.fields
                    if (one.shift, one.width) == (field.shift, field.width)
                ),
                None,
            )
            if found is not None
            else None
        )

    @staticmethod
    def _bits(field: registers.Field) -> str:
        top = field.shift + field.width - 1
        return f'{top}:{field.shift}' if field.width > 1 else f'{top}'

    @staticmethod
    def _rule(field: registers.Field) -> str:
        rule = field.rule.value
        if field.signed:
            rule = f'signed {rule}'
        if field.rule.name == 'EXACT':
            rule = f'{rule} ({field.safe})'
        return rule


class Job(rst.Directive):
    def run(self) -> list[nodes.Node]:
        there = [
            state
            for state in job.Presence
            if state is not job.Presence.MIGRATED
        ]
        return [
            _table(
                ('On the source', *(state.value for state in there)),
                (16, *[12] * len(there)),
                [
                    (
                        _plain(here.value),
                        *(_plain(self._step(here, state)) for state in there),
                    )
                    for here in job.Presence
                ],
            )
        ]

    @staticmethod
    def _step(here: job.Presence, there: job.Presence) -> str:
        return job.next_step(
            job.Observation(job.Thread.RAISED, source=here, destination=there)
        ).step.value


class Command(rst.Directive):
    required_arguments = 0
    optional_arguments = 2

    def run(self) -> list[nodes.Node]:
        parser = main.parser()
        for word in self.arguments:
            (commands,) = (
                action
                for action in parser._actions
                if isinstance(action, argparse._SubParsersAction)
            )
            parser = commands.choices[word]
        # argparse breaks lines for the terminal that it finds.
        os.environ['COLUMNS'] = '78'
        text = parser.format_help()
        return [nodes.literal_block(text, text, language='none')]


class Silicon(rst.Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        profiles = silicon.profiles()
        match self.arguments[0]:
            case 'profiles':
                return [
                    _table(
                        ('Core', 'Kernel', 'Writable bits'),
                        (20, 40, 40),
                        [
                            (
                                _plain(one.core),
                                _plain(one.host.kernel or ''),
                                _plain(one.host.why_absent('writable')),
                            )
                            for one in profiles
                        ],
                    )
                ]
            case 'update':
                rows = [
                    self._move(
                        start, end, start.core, start.kernel, end.kernel
                    )
                    for start in profiles
                    for end in profiles
                    if start.core == end.core and start is not end
                ]
                headings = 'Core', 'From', 'To'
            case _:
                newest = max(one.number for one in profiles)
                last = [one for one in profiles if one.number == newest]
                rows = [
                    self._move(start, end, start.core, end.core, end.kernel)
                    for start in last
                    for end in last
                    if start.core != end.core
                ]
                headings = 'From', 'To', 'Kernel'
        return [
            _table(
                (*headings, 'Verdict', 'What prevents it'),
                (14, 12, 8, 14, 52),
                rows,
            )
        ]

    def _move(
        self, start: silicon.Silicon, end: silicon.Silicon, *names: str
    ) -> Row:
        report = silicon.judge(start, end)
        found = [
            finding
            for finding in report.findings
            if finding.severity is not Severity.NOTE
        ]
        lacking = [finding for finding in found if finding.cause in LACKING]
        told = [
            finding.brief('host')
            for finding in found
            if finding not in lacking
        ]
        if lacking:
            others = sum(len(finding.codes) for finding in lacking) - 1
            more = f' and {others} more' if others else ''
            told.append(f'{lacking[0].name}{more}: not on host')
        return (
            *(_plain(name) for name in names),
            _plain(report.verdict.value),
            _plain('; '.join(told) or 'nothing'),
        )


class Crossing(rst.Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        rows = {
            'pairs': self._pairs,
            'gives-up': lambda: self._gives_up('real registers'),
            'gives-up-emulated': lambda: self._gives_up('emulated'),
            'joining': self._joining,
            'errata': lambda: self._lists(implementations.ERRATA),
            'allowed': lambda: self._lists(implementations.ALLOWED),
        }[self.arguments[0]]()
        given_up = (
            ('Core', 'Field', 'The core has', 'Guests have'),
            (22, 34, 22, 22),
        )
        headings, widths = {
            'pairs': (
                ('Cores', 'Registers', 'Guests see', 'What prevents it'),
                (24, 12, 24, 40),
            ),
            'gives-up': given_up,
            'gives-up-emulated': given_up,
            'joining': (
                ('Fields', 'Registers', 'Cores', 'What prevents it then'),
                (30, 12, 33, 25),
            ),
        }.get(
            self.arguments[0],
            (('Name', 'About', 'Source', 'Matters'), (22, 28, 30, 20)),
        )
        return [_table(headings, widths, rows)]

    @staticmethod
    def _pairs() -> Iterator[tuple[nodes.Node, ...]]:
        for origin, pool in silicon.paper_pools():
            found = silicon.crossing(*pool)
            features = ', '.join(sorted(found.baseline.features)) or 'none'
            told = [
                crossing_words.brief(refusal, pool[place].core)
                for place, refusal in found.refusals
            ]
            if not told:
                told = [one.sentence for one in found.unacknowledged]
            sees = f'{found.baseline.implementation.name}; features {features}'
            yield (
                _plain(f'{pool[0].core}, {pool[1].core}'),
                _plain(origin),
                _plain(sees if not found.refusals else 'no baseline'),
                _plain('; '.join(told) or 'nothing'),
            )

    @staticmethod
    def _gives_up(wanted: str) -> Iterator[tuple[nodes.Node, ...]]:
        for origin, pool in silicon.paper_pools():
            found = silicon.crossing(*pool)
            if origin != wanted or not found.taken:
                continue
            for one, other in (pool, pool[::-1]):
                for change in baseline_changes.given_up(
                    found.baseline, one.host
                ):
                    yield (
                        _plain(f'{one.core}, with {other.core}'),
                        _literal(change.name),
                        _plain(change.before),
                        _plain(change.after),
                    )

    @staticmethod
    def _joining() -> Iterator[tuple[nodes.Node, ...]]:
        rows: dict[tuple[str, str], dict[str, str]] = {}
        for origin, pair, joining in silicon.joinable():
            found = {words.partition(':')[0] for words in joining.rest}
            rows.setdefault((', '.join(joining.fields), origin), {})[
                ' and '.join(one.core for one in pair)
            ] = ', '.join(sorted(found))
        for (fields, origin), cores in rows.items():
            rest = sorted(set(cores.values()) - {''})
            yield (
                _literal(fields),
                _plain(origin),
                _plain('; '.join(cores)),
                _plain(', '.join(rest) or 'nothing'),
            )

    @staticmethod
    def _lists(
        lists: Iterable[implementations.Listed],
    ) -> Iterator[tuple[nodes.Node, ...]]:
        for one in lists:
            needs = (one.needs,) if one.needs else ()
            matters = [f'{some.field} >= {some.least}' for some in needs]
            matters += [f'{less.field} < {less.least}' for less in one.unless]
            yield (
                _literal(one.name),
                _plain(one.about),
                _plain(one.source),
                _plain(', '.join(matters) or 'always'),
            )


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive('arm-findings', Findings)
    app.add_directive('arm-members', Members)
    app.add_directive('arm-metrics', Metrics)
    app.add_directive('arm-registers', Registers)
    app.add_directive('arm-job', Job)
    app.add_directive('arm-command', Command)
    app.add_directive('arm-silicon', Silicon)
    app.add_directive('arm-crossing', Crossing)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
