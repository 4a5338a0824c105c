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

"""Why QEMU ended, from a domain's log."""

import datetime
from unittest import mock

import nova.privsep.path

from nova_arm_migrate.nova.rollback import qemu_log
from tests import logs

LOG = """\
2026-11-25 02:40:10.100+0000: starting up libvirt version: 11.3.0
/usr/bin/qemu-system-aarch64 \\
-name guest=vm,debug-threads=on \\
-msg timestamp=on
2026-11-25T02:40:13.6Z {binary}: warning: one
2026-11-25T02:40:14.6Z {binary}: load of migration failed: Invalid argument
2026-11-25 02:40:15.641+0000: shutting down, reason=failed
"""
SINCE = datetime.datetime(2026, 11, 25, 2, 40, 10, 900)
REASON = 'load of migration failed: Invalid argument'


class TestLog(logs.TestCase):
    def last(self, text: str, since: datetime.datetime = SINCE) -> str | None:
        return qemu_log.last_message(text, since)

    def test_the_last_that_qemu_said(self) -> None:
        for binary in ('qemu-system-aarch64', 'qemu-kvm'):
            self.assertEqual(REASON, self.last(LOG.format(binary=binary)))

    def test_the_reason_and_not_how_libvirt_ended_it(self) -> None:
        for reaper in (
            '(libvirtd)',
            '(/usr/sbin/virtqemud)',
            '(<unknown process>)',
        ):
            self.assertEqual(
                REASON,
                self.last(
                    LOG.format(binary='qemu-kvm')
                    + '2026-11-25T02:40:15.7Z qemu-kvm: terminating on signal'
                    f' 15 from pid 197 {reaper}\n'
                ),
            )

    def test_nothing_of_an_earlier_qemu_of_this_stay(self) -> None:
        self.assertIsNone(
            self.last(
                LOG.format(binary='qemu-kvm')
                + '2026-11-25 03:40:10.1+0000: starting up libvirt version:'
                ' 11\n'
                '2026-11-25T03:40:13.6Z qemu-kvm: warning: one\n'
                '2026-11-25T03:40:15.7Z qemu-kvm: terminating on signal 15'
                ' from pid 197 (libvirtd)\n'
            )
        )

    def test_nothing_of_before_this_job(self) -> None:
        later = SINCE + datetime.timedelta(seconds=6)
        self.assertIsNone(self.last(LOG.format(binary='qemu-kvm'), later))

    def test_a_start_that_is_not_in_the_part_that_was_read(self) -> None:
        part = LOG.format(binary='qemu-kvm').split('\n', 4)[4]
        self.assertEqual(REASON, self.last(part))
        later = SINCE + datetime.timedelta(seconds=6)
        self.assertIsNone(self.last(part, later))

    def test_lines_without_a_time(self) -> None:
        # qemu.conf: log_timestamp = 0
        untimed = 'qemu-kvm: no memory\n'
        self.assertIsNone(self.last(untimed))
        start = '2026-11-25 {}+0000: starting up libvirt version: 11.3.0\n'
        self.assertEqual(
            'no memory', self.last(start.format('02:40:11.1') + untimed)
        )
        self.assertIsNone(self.last(start.format('02:40:09.1') + untimed))

    def test_nothing_that_qemu_said(self) -> None:
        for text in (
            '',
            LOG.format(binary='libvirt'),
            'qemu-kvm:  \n',
            'qemu-kvm: warning: two\n',
            '9999-99-99T02:40:14Z qemu-kvm: no such day\n',
            'qemu-kvm: terminating on signal 15\n',
        ):
            self.assertIsNone(self.last(text), text)

    def test_a_log_that_can_not_be_read(self) -> None:
        with mock.patch.object(
            nova.privsep.path, 'last_bytes', autospec=True, side_effect=OSError
        ):
            self.assertIsNone(qemu_log.last_line(mock.Mock(), SINCE))
