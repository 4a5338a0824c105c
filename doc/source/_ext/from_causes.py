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

"""A section for each cause of a finding, made from the code's tables.

``arm-causes``  a section with the label ``cause-NAME`` for each cause: what it
                means, where it was found, and what may help
"""

from collections.abc import Sequence
import textwrap

from docutils import nodes
from docutils.parsers import rst
from sphinx.application import Sphinx

from nova_arm_migrate.core import messages
from nova_arm_migrate.core import remedies
from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.causes import SETTLED_BY_TRIAL
from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from tests import refusals

#: Names of fields that a section has.
_MOST = 8
_WIDTH = 76


def label(cause: Cause) -> str:
    """Return the label of a cause's section."""
    return f'cause-{cause.name.lower().replace("_", "-")}'


def generic(cause: Cause) -> Finding:
    """Return a finding whose words have placeholders.

    Its register has no entry in the tables, and no pair of records says which
    of the remedies helps.
    """
    return Finding(
        cause,
        Severity.BLOCKS,
        'REGISTER',
        'FIELD',
        guest='G',
        host='H',
        detail='…',
    )


class Causes(rst.Directive):
    def run(self) -> list[nodes.Node]:
        found = refusals.examples()
        return [self._section(cause, found[cause]) for cause in Cause]

    def _section(
        self, cause: Cause, examples: Sequence[refusals.Example]
    ) -> nodes.section:
        name = label(cause)
        section = nodes.section(ids=[name], names=[name])
        title = cause.value[0].upper() + cause.value[1:]
        section += nodes.title(title, title)
        self.state.document.note_explicit_target(section)
        told = generic(cause)
        section += _paragraph(messages.words(told))
        section += _paragraph(_severity(cause, examples))
        section += self._fields(examples)
        section += self._example(examples[0])
        helps = remedies.remedies(told)
        if helps:
            section += _paragraph('What may help:')
            listed = nodes.bullet_list(bullet='*')
            for remedy in helps:
                item = nodes.list_item()
                item += _paragraph(f'{remedy.text(told)}.')
                listed += item
            section += listed
        return section

    @staticmethod
    def _fields(examples: Sequence[refusals.Example]) -> nodes.paragraph:
        names = list(dict.fromkeys(one.finding.name for one in examples))
        paragraph = _paragraph(
            'Fields in the recorded machines of the tests: '
            if examples[0].guest
            else 'Field: '
        )
        for place, name in enumerate(names[:_MOST]):
            if place:
                paragraph += nodes.Text(', ')
            paragraph += nodes.literal(name, name)
        more = len(names) - _MOST
        paragraph += nodes.Text(f' and {more} more.' if more > 0 else '.')
        return paragraph

    @staticmethod
    def _example(example: refusals.Example) -> nodes.container:
        finding = example.finding
        where = (
            f'For example, a guest of {example.guest} that is to move to'
            f' {example.host}:'
            if example.guest
            else 'For example (made up, because no recorded machine has it):'
        )
        text = '\n'.join(
            [
                finding.brief('host'),
                '',
                *textwrap.wrap(messages.sentence(finding), _WIDTH),
            ]
        )
        container = nodes.container()
        container += _paragraph(where)
        container += nodes.literal_block(text, text, language='none')
        return container


def _severity(cause: Cause, examples: Sequence[refusals.Example]) -> str:
    seen = {one.finding.severity for one in examples}
    named = ', '.join(
        severity.value for severity in Severity if severity in seen
    )
    settled = (
        " The destination's trial decides."
        if cause in SETTLED_BY_TRIAL
        else ''
    )
    return f'Severity: {named}.{settled}'


def _paragraph(text: str) -> nodes.paragraph:
    paragraph = nodes.paragraph()
    paragraph += nodes.Text(text)
    return paragraph


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive('arm-causes', Causes)
    return {'parallel_read_safe': True, 'parallel_write_safe': True}
