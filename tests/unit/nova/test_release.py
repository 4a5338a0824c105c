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

from unittest import mock

from nova import exception
from nova import version

from nova_arm_migrate.nova import release
from nova_arm_migrate.nova import signatures
from tests import logs


class TestRelease(logs.TestCase):
    def nova(self, number: str) -> None:
        patch = mock.patch.object(version, 'version_string', lambda: number)
        self.addCleanup(patch.stop)
        patch.start()

    def test_the_one_that_the_tests_run_with(self) -> None:
        self.assertEqual('', release.complaint())
        release.check()

    def test_a_newer_one_works_with_a_warning(self) -> None:
        self.nova('99.0.0')
        with self.assertLogs('nova_arm_migrate', 'WARNING') as seen:
            release.check()
        (line,) = seen.output
        self.assertIn('Nova 99', line)

    def test_one_without_a_number(self) -> None:
        self.nova('unknown')
        self.assertIsNone(release.installed())
        self.assertIn('unknown', release.complaint())

    def test_one_that_has_moved_is_refused(self) -> None:
        with (
            mock.patch.dict(
                signatures.CALLED, {'nova.utils:gone': ('(one)',)}
            ),
            self.assertRaisesRegex(exception.NovaException, 'gone is gone'),
        ):
            release.check()

    def off_thread(self, patched: bool) -> tuple[bool, bool]:
        """Nova of before 33, with or without eventlet."""
        target = mock.Mock()
        with (
            mock.patch.object(release, 'utils', object()),
            mock.patch(
                'eventlet.patcher.is_monkey_patched',
                autospec=True,
                return_value=patched,
            ),
            mock.patch('eventlet.tpool.Proxy', autospec=True) as proxy,
        ):
            wrapped = release.off_thread(target)
        return wrapped is target, wrapped is proxy.return_value

    def test_before_33(self) -> None:
        # An object on native threads is itself; eventlet calls it in a real
        # thread.
        self.assertEqual((True, False), self.off_thread(False))
        self.assertEqual((False, True), self.off_thread(True))

    def test_since_33_nova_knows_how(self) -> None:
        nova = mock.Mock()
        with mock.patch.object(release, 'utils', nova):
            wrapped = release.off_thread('target')
        self.assertIs(nova.tpool_wrap.return_value, wrapped)

    def test_no_iothreads_before_33(self) -> None:
        self.assertEqual((), tuple(release.iothread_pins(object())))
