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
``arm-registers``   every register and field, with KVM's rule
``arm-command``     the help of a command: ``arm-command:: compare``
"""

import argparse
import os

from docutils import nodes
from docutils.parsers import rst

from nova_arm_migrate.commands import main
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core import finding
from nova_arm_migrate.core import remedies
from nova_arm_migrate.core import rules
from nova_arm_migrate.core import sentences
from nova_arm_migrate.core import tables


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
            ('Finding', 'What it says', 'What may help'), (15, 40, 45),
            [self._row(cause) for cause in Cause])]

    @staticmethod
    def _row(cause):
        # Its register has no entry in the tables, and no pair of records
        # says which of the remedies helps.
        found = finding.Finding(
            cause, finding.Severity.BLOCKS, 'REGISTER', 'FIELD', guest='G',
            host='H', detail='…')
        return (_plain(cause.value), _plain(sentences.words(found)),
                _plain('; '.join(remedy.text(found)
                                 for remedy in remedies.remedies(found))))


class Registers(rst.Directive):
    def run(self):
        rows = []
        for register in tables.REGISTERS.values():
            if register.fields:
                rows += [
                    (_literal(f'{register.name}.{field.name}'),
                     _plain(self._bits(field)), _plain(self._rule(field)))
                    for field in register.fields]
            elif not register.name.startswith('S3_'):
                judge = rules.JUDGES[register.judge].__doc__
                rows.append((_literal(register.name), _plain('all'),
                             _plain(judge.partition('\n')[0])))
        return [_table(('Register and field', 'Bits', 'Rule'),
                       (50, 15, 35), rows)]

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
