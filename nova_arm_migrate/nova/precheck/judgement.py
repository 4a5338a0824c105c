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

"""May the guest move? The verdict from records, rule, trial and options.

Pure: no Nova, no I/O. The driver passes in what it knows and does what the
result says. A missing input is passed as a text that gives the reason.
"""

from collections.abc import Callable
from collections.abc import Iterable
import dataclasses
import enum
import functools
from typing import Any

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.compare import compare
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.trial import before_trial
from nova_arm_migrate.core.trial import Disagreement
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.trial import with_trial
from nova_arm_migrate.core.vcpu import after_migration
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.conf import Settings
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.records.domain import Domain

#: Why a peer without the extension's mark gives no verdict. Short, because a
#: stock destination puts 100 bytes of its own and two host names before it.
NO_EXTENSION = 'it does not run nova-arm-migrate'


class Action(enum.Enum):
    """What the driver does with the migration."""

    ACCEPT = 'accept'
    REFUSE = 'refuse'
    #: Accept it because of an option, against the verdict.
    WARN = 'warn'


@dataclasses.dataclass(frozen=True, slots=True)
class MigratingGuest:
    """The guest as it leaves its host.

    :ivar guest: None if nothing is known about it
    :ivar unknown: what can't be judged about it
    """

    guest: Guest | None
    unknown: tuple[Finding, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Judgement:
    """The result of the pre-check.

    :ivar trial: its result in a few words; empty if there was no trial
    :ivar disagreements: where the rule and the trial differ
    """

    action: Action
    report: Report
    trial: str = ''
    disagreements: tuple[Disagreement, ...] = ()

    @property
    def overridden(self) -> tuple[Finding, ...]:
        """The findings that an option overrides."""
        return tuple(f for f in self.report.findings if f.overridden)

    def to_dict(self) -> dict[str, Any]:
        """The outcome as a JSON object."""
        return {
            'action': self.action.value,
            **self.report.to_dict(),
            'trial': self.trial or None,
            'disagreements': [
                dataclasses.asdict(d) for d in self.disagreements
            ],
        }


def migrating_guest(
    recorded: Guest | str | None, source: Host | str, defined: Domain
) -> MigratingGuest:
    """Return what is known about a guest that is to leave its host.

    :param recorded: its own record; None if it has none; a text with the
        reason if the record can't be read
    :param source: the record of its host, or why there is none
    :param defined: what Nova knows about its domain; used if there is no
        record
    """
    if isinstance(recorded, str):
        return MigratingGuest(
            None,
            (
                Finding(
                    Cause.GUEST_NOT_RECORDED,
                    Severity.UNKNOWN,
                    'GUEST',
                    detail=f'its record cannot be read: {recorded}',
                ),
            ),
        )
    if isinstance(source, str):
        # A host without the extension may have restarted the guest, and
        # such a restart is not recorded.
        return MigratingGuest(recorded, (_unknown('SOURCE', source),))
    if recorded is None:
        return MigratingGuest(
            guest_started_on(
                source,
                disabled=defined.disabled,
                gic=defined.gic,
                memory=defined.memory,
                inferred=True,
            )
        )
    return MigratingGuest(after_migration(recorded, source))


def judge(
    leaving: MigratingGuest,
    destination: Host | str,
    settings: Settings,
    trial: Callable[[Guest], Trial] | None = None,
    no_baseline: str | None = None,
) -> Judgement:
    """Judge whether the destination takes the guest.

    :param destination: its profile, or why there is none
    :param trial: writes the guest's registers there; None where there is no
        trial, as in the scheduler
    :param no_baseline: why the destination does not offer the guest's
        baseline, from its own file; empty if it offers it; None if it was not
        asked
    """
    options = settings.options
    findings = list(leaving.unknown)
    if isinstance(destination, str):
        findings.append(_unknown('DESTINATION', destination))
    elif leaving.guest is not None:
        found = compare(leaving.guest, destination, options).findings
        if no_baseline is not None:
            found = tuple(
                finding
                for finding in found
                if finding.cause is not Cause.BASELINE_UNKNOWN
            )
        if no_baseline:
            found = _with_reason(found, leaving.guest, no_baseline)
        findings += found
    result = report(findings, options)
    tried = ''
    disagreements: tuple[Disagreement, ...] = ()
    if trial and settings.trial and leaving.guest is not None:
        answer = trial(leaving.guest)
        tried = _tell(answer)
        if answer.ran:
            result, disagreements = with_trial(
                result,
                leaving.guest,
                refused=dict(answer.refused),
                missing=answer.missing,
                unjudged=answer.unjudged,
                libvirt=answer.libvirt,
                options=options,
                host=None if isinstance(destination, str) else destination,
            )
    return Judgement(
        action(result.verdict, settings), result, tried, disagreements
    )


@functools.lru_cache(maxsize=4096)
def expected_refusal(
    leaving: MigratingGuest, destination: Host | str, settings: Settings
) -> str | None:
    """Return why the destination would refuse the guest; None if it would not.

    This is all that can be said away from the destination. A finding that a
    trial there can decide is no refusal; it costs one pre-check at most.
    Without the trial ([arm_migrate] trial is off here, and must be the same on
    all computes) the destination has only the rule, and would refuse what the
    rule can't judge. A refusal that enforcement "warn" only logs counts too.

    The results are cached by value, because the guests of one host often have
    equal records.

    :returns: one line, in which the destination's name is ``host``
    """
    enforced = dataclasses.replace(settings, enforcement=Enforcement.ENFORCE)
    # If the records do not have the contents of the baseline, the destination
    # compares its own file.
    found = judge(leaving, destination, enforced, no_baseline='').report
    if enforced.trial:
        found = before_trial(found, enforced.options)
    if action(found.verdict, enforced) is Action.REFUSE:
        return found.summary('host')
    return None


def _with_reason(
    findings: Iterable[Finding], guest: Guest, reason: str
) -> tuple[Finding, ...]:
    """Add why the destination does not offer the guest's baseline."""
    given = list(findings)
    if not any(finding.cause is Cause.BASELINE for finding in given):
        # It offers one of that name and version, with other contents.
        given.append(
            Finding(
                Cause.BASELINE,
                Severity.BLOCKS,
                'BASELINE',
                guest=guest.baseline,
                host='another one',
                rule='AMONG',
            )
        )
    return tuple(
        finding._replace(detail=f': {reason}')
        if finding.cause is Cause.BASELINE
        else finding
        for finding in given
    )


def unjudged_destination(settings: Settings) -> Judgement:
    """Return the outcome for a destination without the extension."""
    result = report([_unknown('DESTINATION', NO_EXTENSION)], settings.options)
    return Judgement(action(result.verdict, settings), result)


def event_text(result: Report, host: str, room: int) -> str:
    """Return the verdict, shortened to the room in the server's events.

    The host's name is cut first, so that both values stay readable.

    :param host: the destination's name
    :param room: bytes of UTF-8
    """
    label = host.partition('.')[0]
    left = room - len(result.summary('...').encode())
    for name in (host, label, _cut(label, left) + '...'):
        text = result.summary(name)
        if len(text.encode()) <= room:
            return text
    more = f' (+{len(result.decisive) - 1} more)'
    tail = '...' + (more if text.endswith(more) else '')
    return _cut(text, room - len(tail.encode())) + tail


def _cut(text: str, room: int) -> str:
    """Return the longest start of a text that fits in the room, in bytes."""
    return text.encode()[: max(0, room)].decode(errors='ignore')


def action(verdict: Verdict, settings: Settings) -> Action:
    """Return the action for a migration with this verdict."""
    if verdict is Verdict.COMPATIBLE:
        return Action.ACCEPT
    if settings.enforcement is not Enforcement.ENFORCE:
        return Action.WARN
    if verdict is Verdict.UNKNOWN and not settings.refuse_unknown:
        return Action.WARN
    return Action.REFUSE


def _tell(trial: Trial) -> str:
    if not trial.ran:
        return f'not run: {trial.why_not}'
    against = len(trial.refused) + len(trial.missing)
    if trial.libvirt:
        return f'libvirt: {trial.libvirt}'
    if against:
        return f'{against} of {trial.written + len(trial.missing)} refused'
    return f'{trial.written} accepted'


def _unknown(name: str, why: str) -> Finding:
    return Finding(Cause.NOT_RECORDED, Severity.UNKNOWN, name, detail=why)
