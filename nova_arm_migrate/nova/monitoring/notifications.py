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

"""The versioned notifications of refusals and drift.

They go where Nova's own versioned notifications go, if ``[notifications]
notification_format`` is ``versioned`` or ``both``. A notification that cannot
be sent is logged; nothing else happens because of it.
"""

from typing import Any

import nova.conf
from nova.notifications.objects import base
from nova.objects import base as nova_base
from nova.objects import fields
from oslo_log import log as logging

from nova_arm_migrate.core.finding import Finding
from nova_arm_migrate.core.finding import Severity
from nova_arm_migrate.core.messages import sentence
from nova_arm_migrate.nova.baseline.drift import Drift
from nova_arm_migrate.nova.precheck.judgement import Judgement

CONF = nova.conf.CONF
LOG = logging.getLogger(__name__)

#: Another host's record decides how much there is to say.
_MOST_FINDINGS = 16
_MOST_GUESTS = 100
_LONGEST = 1000

#: The namespace of the payloads: they are not Nova's.
_NAMESPACE = 'nova_arm_migrate'


@nova_base.NovaObjectRegistry.register_notification
class ArmEventType(base.NotificationObject):
    """The name of a notification: Nova's own type has a list of actions."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {'name': fields.StringField()}

    def to_notification_event_type_field(self) -> str:
        """Return the name as in the message."""
        return str(self.name)


@nova_base.NovaObjectRegistry.register_notification
class ArmFindingPayload(base.NotificationPayloadBase):
    """One finding of a pre-check.

    Its fields are those of the findings in the log.
    """

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {
        'field': fields.StringField(),
        'severity': fields.StringField(),
        'cause': fields.StringField(),
        'guest': fields.StringField(nullable=True),
        'destination': fields.StringField(nullable=True),
        'sentence': fields.StringField(),
    }

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.field = _text(finding.name)
        self.severity = finding.severity.value
        self.cause = finding.cause.value
        self.guest = _value(finding, finding.guest)
        self.destination = _value(finding, finding.host)
        self.sentence = _text(sentence(finding))


@nova_base.NovaObjectRegistry.register_notification
class ArmRefusalPayload(base.NotificationPayloadBase):
    """A live migration that was refused before anything moved."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {
        'instance_uuid': fields.UUIDField(),
        'project_id': fields.StringField(nullable=True),
        'source': fields.StringField(nullable=True),
        'destination': fields.StringField(),
        'verdict': fields.StringField(),
        'reason': fields.StringField(),
        'trial': fields.StringField(nullable=True),
        'findings': fields.ListOfObjectsField('ArmFindingPayload'),
        'findings_left_out': fields.IntegerField(),
    }

    def __init__(
        self, instance: Any, destination: str, outcome: Judgement
    ) -> None:
        super().__init__()
        told = [
            finding
            for finding in outcome.report.findings
            if finding.severity is not Severity.NOTE
        ]
        self.instance_uuid = instance.uuid
        self.project_id = _of(instance, 'project_id')
        self.source = _of(instance, 'host')
        self.destination = destination
        self.verdict = outcome.report.verdict.value
        self.reason = _text(outcome.report.reason(destination))
        self.trial = outcome.trial or None
        self.findings = [
            ArmFindingPayload(finding) for finding in told[:_MOST_FINDINGS]
        ]
        self.findings_left_out = max(0, len(told) - _MOST_FINDINGS)


@nova_base.NovaObjectRegistry.register_notification
class ArmDriftPayload(base.NotificationPayloadBase):
    """Guests whose baseline this host would change, or can't start again."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {
        'host': fields.StringField(),
        'baseline': fields.StringField(),
        'next_baseline': fields.StringField(nullable=True),
        'reason': fields.StringField(nullable=True),
        'instance_uuids': fields.ListOfStringsField(),
        'instances_left_out': fields.IntegerField(),
    }

    def __init__(self, host: str, found: Drift) -> None:
        super().__init__()
        self.host = host
        self.baseline = found.has
        self.next_baseline = found.gets or None
        self.reason = _text(found.reason) if found.reason else None
        self.instance_uuids = list(found.guests[:_MOST_GUESTS])
        self.instances_left_out = max(0, len(found.guests) - _MOST_GUESTS)


class _Notification(base.NotificationBase):
    """A notification with a name of ours."""

    fields = {'event_type': fields.ObjectField('ArmEventType')}


@nova_base.NovaObjectRegistry.register_notification
class ArmRefusalNotification(_Notification):
    """``arm_migrate.live_migration.refused``."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {'payload': fields.ObjectField('ArmRefusalPayload')}


@nova_base.NovaObjectRegistry.register_notification
class ArmDriftNotification(_Notification):
    """``arm_migrate.baseline.drift``."""

    # Version 1.0: Initial version
    VERSION = '1.0'
    OBJ_PROJECT_NAMESPACE = _NAMESPACE

    fields = {'payload': fields.ObjectField('ArmDriftPayload')}


REFUSED = 'arm_migrate.live_migration.refused'
DRIFT = 'arm_migrate.baseline.drift'


def refused(
    context: Any, instance: Any, destination: str, outcome: Judgement
) -> None:
    """Notify of a refused live migration. Never raises.

    :param destination: the name of that host
    """
    try:
        ArmRefusalNotification(
            priority=fields.NotificationPriority.WARN,
            event_type=ArmEventType(name=REFUSED),
            publisher=_publisher(),
            payload=ArmRefusalPayload(instance, destination, outcome),
        ).emit(context)
    except Exception as error:
        LOG.warning(
            'No notification of a refusal: %s', error, instance=instance
        )


def drifted(context: Any, host: str, found: Drift) -> None:
    """Notify of guests that drift from their baseline. Never raises.

    :param host: the name of this compute
    """
    try:
        ArmDriftNotification(
            priority=(
                fields.NotificationPriority.WARN
                if found.gets
                else fields.NotificationPriority.ERROR
            ),
            event_type=ArmEventType(name=DRIFT),
            publisher=_publisher(),
            payload=ArmDriftPayload(host, found),
        ).emit(context)
    except Exception as error:
        LOG.warning('No notification of drift: %s', error)


def _publisher() -> Any:
    return base.NotificationPublisher(
        host=CONF.host, source=fields.NotificationSource.COMPUTE
    )


def _of(instance: Any, name: str) -> str | None:
    """Return an attribute without reading it from the database."""
    return getattr(instance, name) if name in instance else None


def _value(finding: Finding, value: int | str | None) -> str | None:
    return None if value is None else _text(finding.shown(value))


def _text(text: str) -> str:
    """Return a text that other hosts may have written: bounded, printable."""
    shown = ''.join(c if c.isprintable() else ' ' for c in text)
    return shown if len(shown) <= _LONGEST else shown[: _LONGEST - 3] + '...'
