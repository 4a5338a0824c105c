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
from nova import utils

from nova_arm_migrate.nova import release
from nova_arm_migrate.nova import signatures
from tests import logs


class TestRelease(logs.TestCase):
    def nova(self, number):
        patch = mock.patch.object(
            release.version, 'version_string', lambda: number
        )
        self.addCleanup(patch.stop)
        patch.start()

    def test_the_one_that_the_tests_run_with(self):
        self.assertEqual('', release.complaint())
        release.check()

    def test_a_newer_one_works_with_a_warning(self):
        self.nova('99.0.0')
        with self.assertLogs('nova_arm_migrate', 'WARNING') as seen:
            release.check()
        (line,) = seen.output
        self.assertIn('Nova 99', line)

    def test_one_without_a_number(self):
        self.nova('unknown')
        self.assertIsNone(release.installed())
        self.assertIn('unknown', release.complaint())

    def test_one_that_has_moved_is_refused(self):
        with (
            mock.patch.dict(
                signatures.CALLED, {'nova.utils:gone': ('(one)',)}
            ),
            self.assertRaisesRegex(exception.NovaException, 'gone is gone'),
        ):
            release.check()

    def test_before_33_an_object_on_native_threads_is_itself(self):
        target = object()
        with mock.patch.object(utils, 'tpool_wrap', create=True):
            del utils.tpool_wrap
            with mock.patch(
                'eventlet.patcher.is_monkey_patched', return_value=False
            ):
                self.assertIs(target, release.off_thread(target))

    def test_before_33_eventlet_calls_it_in_a_real_thread(self):
        target = mock.Mock()
        with mock.patch.object(utils, 'tpool_wrap', create=True):
            del utils.tpool_wrap
            with (
                mock.patch(
                    'eventlet.patcher.is_monkey_patched', return_value=True
                ),
                mock.patch('eventlet.tpool.Proxy') as proxy,
            ):
                self.assertIs(proxy.return_value, release.off_thread(target))
        proxy.assert_called_once_with(target)

    def test_no_iothreads_before_33(self):
        self.assertEqual((), tuple(release.iothread_pins(object())))
