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

"""The sentences that an operator reads: a finding and its remedies."""

from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import MAY_USE
from nova_arm_migrate.core.remedies import remedies
from nova_arm_migrate.core.words import WORDS


def sentence(finding: Finding) -> str:
    """Return what was found, and the remedies."""
    said = words(finding)
    todo = '; or '.join(remedy.text(finding) for remedy in remedies(finding))
    return f'{said} Remedy: {todo}.' if todo else said


def words(finding: Finding) -> str:
    """Return what was found."""
    return WORDS[finding.cause].format(
        name=finding.name,
        label=finding.label,
        guest=finding.shown(finding.guest).removeprefix(MAY_USE),
        host=finding.shown(finding.host),
        detail=finding.detail,
    )
