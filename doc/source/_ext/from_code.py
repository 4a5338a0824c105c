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

``arm-findings``    every cause of a finding, with its sentence
``arm-registers``   every register and field, with KVM's rule
``arm-command``     the help of a command: ``arm-command:: compare``
"""

import argparse
import os
import pathlib

from docutils import nodes
from docutils.parsers import rst

from nova_arm_migrate.commands import main
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import rules
from nova_arm_migrate.core import sentences
from nova_arm_migrate.core import tables
from tools.kernel_tables import check
from tools.kernel_tables import facts

_KERNELS = (pathlib.Path(__file__).parents[3] / 'tools' / 'kernel_tables'
            / 'kernels')
_BY_FIELD = (registers.Judge.FEATURES, registers.Judge.FEATURES_32BIT)


def _table(headings, widths, rows):
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


def _row(cells):
    row = nodes.row()
    for content in cells:
        paragraph = nodes.paragraph()
        paragraph += content
        entry = nodes.entry()
        entry += paragraph
        row += entry
    return row


def _plain(text):
    return [nodes.Text(text)]


def _literal(text):
    return [nodes.literal(text, text)]


class Findings(rst.Directive):
    def run(self):
        return [_table(
            ('Finding', 'What it says'), (20, 80),
            [(_plain(cause.value), _plain(sentences.sentence(
                cause, name='REGISTER.FIELD', guest='G', host='H',
                detail='…')))
             for cause in sentences.Cause])]


class Registers(rst.Directive):
    def run(self):
        self.kernels = sorted(
            (facts.load(path.read_text('ascii'))
             for path in _KERNELS.iterdir()),
            key=lambda kernel: kernel.number)
        rows = []
        for register in tables.REGISTERS.values():
            if register.fields and register.judge in _BY_FIELD:
                rows += [self._field(register, field)
                         for field in register.fields]
            elif not register.name.startswith('S3_'):
                judge = rules.JUDGES[register.judge].__doc__
                rows.append((_literal(register.name), _plain('all'),
                             _plain(judge.partition('\n')[0]), _plain(''),
                             _plain('')))
        return [_table(('Register and field', 'Bits', 'Rule', 'Writable in',
                        'Other kernels'), (36, 9, 22, 13, 20), rows)]

    def _field(self, register, field):
        there = [(kernel.series, self._facts(kernel, register, field))
                 for kernel in self.kernels]
        known = [(series, found) for series, found in there
                 if found is not None and found.rule]
        other = [f'{series}: {check.described(found)}'
                 for series, found in known
                 if check.described(found) != check.described(known[-1][1])]
        lacking = [series for series, found in there
                   if not (found is not None and found.rule)]
        if known and lacking:
            other.append('not in ' + ', '.join(lacking))
        return (_literal(f'{register.name}.{field.name}'),
                _plain(self._bits(field)), _plain(self._rule(field)),
                _plain(', '.join(series for series, found in known
                                 if found.writable)),
                _plain('; '.join(other)))

    @staticmethod
    def _facts(kernel, register, field):
        found = kernel.register(register.code)
        return next((one for one in found.fields
                     if (one.shift, one.width) == (field.shift, field.width)
                     ), None) if found is not None else None

    @staticmethod
    def _bits(field):
        top = field.shift + field.width - 1
        return f'{top}:{field.shift}' if field.width > 1 else f'{top}'

    @staticmethod
    def _rule(field):
        rule = field.rule.value
        if field.signed:
            rule = f'signed {rule}'
        if field.rule.name == 'EXACT':
            rule = f'{rule} ({field.safe})'
        return rule


class Command(rst.Directive):
    required_arguments = 0
    optional_arguments = 1

    def run(self):
        parser = main.parser()
        if self.arguments:
            commands, = (
                action for action in parser._actions
                if isinstance(action, argparse._SubParsersAction))
            parser = commands.choices[self.arguments[0]]
        # argparse breaks lines for the terminal that it finds.
        os.environ['COLUMNS'] = '78'
        text = parser.format_help()
        return [nodes.literal_block(text, text, language='none')]


def setup(app):
    app.add_directive('arm-findings', Findings)
    app.add_directive('arm-registers', Registers)
    app.add_directive('arm-command', Command)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
