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


"""How a migration that fails is ended, where functional tests don't reach."""

from unittest import mock

from nova import exception
from nova import objects
import nova.privsep.path

from nova_arm_migrate.adapters import events
from nova_arm_migrate.adapters import rollback
from tests import logs

objects.register_all()

LOG = """\
2026-11-25 02:40:10.100+0000: starting up libvirt version: 11.3.0
/usr/bin/qemu-system-aarch64 \\
-name guest=vm,debug-threads=on \\
-msg timestamp=on
2026-11-25T02:40:13.6Z {binary}: warning: one
2026-11-25T02:40:14.6Z {binary}: load of migration failed: Invalid argument
2026-11-25 02:40:15.641+0000: shutting down, reason=failed
"""


class TestLog(logs.TestCase):

    def test_the_last_that_qemu_said(self):
        for binary in ('qemu-system-aarch64', 'qemu-kvm'):
            self.assertEqual(
                'load of migration failed: Invalid argument',
                rollback.last_message(LOG.format(binary=binary)))

    def test_the_reason_and_not_how_libvirt_ended_it(self):
        for reaper in ('(libvirtd)', '(/usr/sbin/virtqemud)', '(<unknown '
                       'process>)'):
            text = LOG.format(binary='qemu-kvm') + (
                '2026-11-25T02:40:15.7Z qemu-kvm: terminating on signal 15'
                f' from pid 197 {reaper}\n')
            self.assertEqual('load of migration failed: Invalid argument',
                             rollback.last_message(text))

    def test_nothing_of_an_earlier_stay_on_this_host(self):
        text = LOG.format(binary='qemu-kvm') + (
            '2026-11-25 03:40:10.1+0000: starting up libvirt version: 11\n'
            '2026-11-25T03:40:13.6Z qemu-kvm: warning: one\n'
            '2026-11-25T03:40:15.7Z qemu-kvm: terminating on signal 15 from'
            ' pid 197 (libvirtd)\n')
        self.assertIsNone(rollback.last_message(text))

    def test_nothing_that_qemu_said(self):
        for text in ('', LOG.format(binary='libvirt'), 'qemu-kvm:  \n',
                     'qemu-kvm: warning: two\n',
                     'qemu-kvm: terminating on signal 15\n'):
            self.assertIsNone(rollback.last_message(text))

    def test_a_log_that_can_not_be_read(self):
        with mock.patch.object(nova.privsep.path, 'last_bytes',
                               autospec=True, side_effect=OSError):
            self.assertIsNone(rollback.qemu_last_line(mock.Mock()))


class TestJob(logs.TestCase):

    def setUp(self):
        super().setUp()
        self.post, self.recover = mock.Mock(), mock.Mock()
        self.job = rollback.Job(mock.Mock(), self.post, self.recover)

    def settle(self, started, host=None):
        self.job.settle(mock.Mock(), host or mock.Mock(), 'dest', False,
                        mock.Mock(), started)

    def test_a_job_that_libvirt_does_not_end(self):
        with mock.patch.object(rollback, '_ABORT_PATIENCE', 0), (
                self.assertLogs('nova_arm_migrate', 'ERROR')):
            self.settle(True)
        self.assertFalse(self.job.settled)
        self.post.assert_not_called()
        self.recover.assert_not_called()

    def test_a_guest_that_is_gone(self):
        host = mock.Mock()
        host.get_guest.side_effect = exception.InstanceNotFound(
            instance_id='x')
        self.job.ended.set()
        self.settle(True, host)
        self.assertTrue(self.job.settled)
        self.post.assert_called_once()
        self.recover.assert_not_called()

    def test_a_manager_that_fails_after_the_guest_has_left(self):
        self.post.side_effect = RuntimeError
        with self.assertRaises(RuntimeError):
            self.job.post()
        self.assertTrue(self.job.over)
        self.assertFalse(self.job.settled)


class TestEvents(logs.TestCase):

    def test_an_event_that_can_not_be_written(self):
        with mock.patch.object(
                events.objects.InstanceActionEvent, 'event_start',
                autospec=True, side_effect=OSError('away')), (
                self.assertLogs('nova_arm_migrate', 'WARNING')) as logs:
            events.failed(mock.Mock(), mock.Mock(), 'x', 'the reason')
        self.assertIn('the reason', logs.output[0])
