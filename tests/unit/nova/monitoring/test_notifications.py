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

from typing import Any
import unittest
from unittest import mock
import uuid

from nova import objects
from nova import rpc
import nova.conf

from nova_arm_migrate.core.causes import Cause
from nova_arm_migrate.core.verdict import Finding
from nova_arm_migrate.core.verdict import Report
from nova_arm_migrate.core.verdict import Severity
from nova_arm_migrate.core.verdict import Verdict
from nova_arm_migrate.nova.baseline.drift import Drift
from nova_arm_migrate.nova.monitoring import notifications
from nova_arm_migrate.nova.precheck.judgement import Action
from nova_arm_migrate.nova.precheck.judgement import Judgement

objects.register_all()
CONF = nova.conf.CONF
UUID = '5f6c0c1d-53f3-4f0b-8f0c-6a3a8e6b7c11'


def finding(
    detail: str = 'is so', severity: Severity = Severity.UNKNOWN
) -> Finding:
    return Finding(Cause.NOT_RECORDED, severity, 'DESTINATION', detail=detail)


class NotificationsTestCase(unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.notifier = mock.Mock()
        for name, value in (
            ('NOTIFIER', mock.Mock()),
            ('get_versioned_notifier', lambda _publisher: self.notifier),
        ):
            patcher = mock.patch.object(rpc, name, value)
            patcher.start()
            self.addCleanup(patcher.stop)
        rpc.NOTIFIER.is_enabled.return_value = True
        option = 'notification_format', 'notifications'
        self.addCleanup(CONF.clear_override, *option)
        CONF.set_override(option[0], 'versioned', option[1])

    def refused(
        self, *findings: Finding, instance: Any = None
    ) -> dict[str, Any]:
        notifications.refused(
            None,
            instance or objects.Instance(uuid=UUID, host='host-a'),
            'host-b',
            Judgement(
                Action.REFUSE, Report(Verdict.UNKNOWN, findings), '3 accepted'
            ),
        )
        ((_, kwargs),) = self.notifier.warn.call_args_list
        self.assertEqual(notifications.REFUSED, kwargs['event_type'])
        data: dict[str, Any] = kwargs['payload']['nova_object.data']
        return data

    def drifted(self, found: Drift, priority: str) -> dict[str, Any]:
        notifications.drifted(None, 'host-a', found)
        call = getattr(self.notifier, priority).call_args
        self.assertEqual(notifications.DRIFT, call.kwargs['event_type'])
        data: dict[str, Any] = call.kwargs['payload']['nova_object.data']
        return data


class TestRefusals(NotificationsTestCase):
    def test_what_decided(self) -> None:
        data = self.refused(finding(), finding(severity=Severity.NOTE))
        self.assertEqual('unknown: DESTINATION: is so', data['reason'])
        self.assertEqual('3 accepted', data['trial'])
        self.assertIsNone(data['project_id'])
        (told,) = data['findings']
        self.assertEqual(
            ('DESTINATION', 'unknown', 'not recorded', None),
            tuple(
                told['nova_object.data'][key]
                for key in ('field', 'severity', 'cause', 'guest')
            ),
        )

    def test_another_host_does_not_decide_how_much_is_sent(self) -> None:
        data = self.refused(*[finding('a\x1b[31m\n' + 'b' * 9999)] * 40)
        self.assertEqual(16, len(data['findings']))
        self.assertEqual(24, data['findings_left_out'])
        for text in (
            data['reason'],
            data['findings'][0]['nova_object.data']['sentence'],
        ):
            self.assertLessEqual(len(text), 1000)
            self.assertTrue(text.isprintable())

    def test_a_notification_that_cannot_be_sent(self) -> None:
        self.notifier.warn.side_effect = OSError('no connection')
        with self.assertLogs('nova_arm_migrate', 'WARNING') as caught:
            self.refused(finding())
        (line,) = caught.output
        self.assertIn('No notification of a refusal: no connection', line)


class TestDrift(NotificationsTestCase):
    def test_guests_that_are_lost(self) -> None:
        data = self.drifted(
            Drift('pool-1/1', '', 'no file\n', (UUID,)), 'error'
        )
        self.assertEqual('no file ', data['reason'])
        self.assertIsNone(data['next_baseline'])
        self.assertEqual([UUID], data['instance_uuids'])

    def test_guests_that_get_another_one(self) -> None:
        uuids = tuple(str(uuid.UUID(int=n)) for n in range(130))
        data = self.drifted(Drift('pool-1/1', 'pool-1/2', '', uuids), 'warn')
        self.assertIsNone(data['reason'])
        self.assertEqual('pool-1/2', data['next_baseline'])
        self.assertEqual(100, len(data['instance_uuids']))
        self.assertEqual(30, data['instances_left_out'])

    def test_a_notification_that_cannot_be_sent(self) -> None:
        self.notifier.warn.side_effect = OSError('no connection')
        with self.assertLogs('nova_arm_migrate', 'WARNING') as caught:
            self.drifted(Drift('pool-1/1', 'pool-1/2', '', (UUID,)), 'warn')
        self.assertIn('No notification of drift: no conn', caught.output[0])
