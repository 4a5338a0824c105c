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

"""A dry run of the devstack plugin: every stage, devstack's functions stubbed.

No devstack runs here. The stubs keep nova.conf as a list of options, so that
what the plugin leaves in it can be read; that nothing was installed is said
in the first line of the output.
"""

from collections.abc import Iterable
from importlib import metadata
import os
import pathlib
import shutil
import subprocess
import sys

import fixtures
from packaging import requirements
import testtools

ROOT = pathlib.Path(__file__).resolve().parents[2]
SCRIPT = pathlib.Path(__file__).with_name('devstack_dry_run.sh')
DRIVER = ('DEFAULT', 'compute_driver', 'arm_migrate.ArmLibvirtDriver')
STOCK_DRIVER = ('DEFAULT', 'compute_driver', 'libvirt.LibvirtDriver')
AVAILABLE = ('filter_scheduler', 'available_filters')
ENABLED = ('filter_scheduler', 'enabled_filters')
ALL_FILTERS = (*AVAILABLE, 'nova.scheduler.filters.all_filters')
OUR_FILTER = (*AVAILABLE, 'nova_arm_migrate.filters.ArmMigrateFilter')
STACK = (
    'stack pre-install',
    'stack install',
    'stack post-config',
    'stack extra',
    'stack test-config',
)


class DevstackDryRunTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.state = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        # As devstack leaves it before the plugin's post-config.
        self._write([STOCK_DRIVER, (*ENABLED, 'ComputeFilter,MyFilter')])
        (self.state / 'tempest.conf').touch()

    def _write(self, options: Iterable[tuple[str, ...]]) -> None:
        (self.state / 'nova.conf').write_text(
            ''.join('\t'.join(option) + '\n' for option in options)
        )

    def _options(self, name: str = 'nova.conf') -> list[tuple[str, ...]]:
        lines = (self.state / name).read_text().splitlines()
        return sorted(tuple(line.split('\t')) for line in lines)

    def _calls(self) -> list[str]:
        calls = self.state / 'calls'
        return calls.read_text().splitlines() if calls.exists() else []

    def _install(self, where: str = 'venv') -> str:
        if where != 'the system':
            where = f'{self.state}/{where}'
        source = f'{self.state}/dest/nova-arm-migrate'
        return f'pip_install in {where}: --no-deps -e {source}'

    def _probe(self, where: str = 'venv') -> str:
        return (
            'sudo -u root sudo -u stack'
            f' {self.state}/{where}/bin/nova-arm-migrate'
            ' probe --degraded --format table'
        )

    def _uninstalled(self) -> list[str]:
        return [call for call in self._calls() if 'pip_uninstall' in call]

    def _run(
        self, services: str, *stages: str, status: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [SCRIPT, self.state, services, *stages],
            env={
                'PATH': os.environ['PATH'],
                'PYTHONDONTWRITEBYTECODE': '1',
                'PYTHONWARNINGS': 'ignore',
                **environment,
            },
            capture_output=True,
            text=True,
        )
        self.assertEqual(status, done.returncode, done.stderr)
        self.assertTrue(done.stdout.startswith('dry run: '))
        return done

    def test_all_in_one(self) -> None:
        done = self._run(
            'n-api,n-cond,n-sch,n-cpu,tempest',
            *STACK,
            NOVA_ARM_MIGRATE_OPTIONS='enforcement=warn trial=false',
        )
        self.assertEqual('', done.stderr)
        self.assertEqual(
            sorted(
                [
                    DRIVER,
                    ALL_FILTERS,
                    OUR_FILTER,
                    (*ENABLED, 'ComputeFilter,MyFilter,ArmMigrateFilter'),
                    ('arm_migrate', 'enforcement', 'warn'),
                    ('arm_migrate', 'trial', 'false'),
                ]
            ),
            self._options(),
        )
        self.assertEqual(
            [
                (
                    'compute-feature-enabled',
                    'live_migrate_back_and_forth',
                    'True',
                ),
                ('compute-feature-enabled', 'live_migration', 'True'),
            ],
            self._options('tempest.conf'),
        )
        self.assertEqual(
            [
                self._install(),
                'sudo usermod -a -G kvm stack',
                self._probe(),
            ],
            self._calls(),
        )

    def test_compute_of_a_multinode_cloud(self) -> None:
        self._run('n-cpu', *STACK)
        self.assertEqual(
            sorted([DRIVER, (*ENABLED, 'ComputeFilter,MyFilter')]),
            self._options(),
        )
        self.assertIn('sudo usermod -a -G kvm stack', self._calls())

    def test_controller_of_a_multinode_cloud(self) -> None:
        self._run(
            'n-api,n-cond,n-sch',
            *STACK,
            NOVA_ARM_MIGRATE_OPTIONS='enforcement=off',
        )
        self.assertEqual(
            sorted(
                [
                    STOCK_DRIVER,
                    ALL_FILTERS,
                    OUR_FILTER,
                    (*ENABLED, 'ComputeFilter,MyFilter,ArmMigrateFilter'),
                    ('arm_migrate', 'enforcement', 'off'),
                ]
            ),
            self._options(),
        )
        self.assertEqual([self._install()], self._calls())

    def test_node_without_nova_is_left_alone(self) -> None:
        before = self._options()
        self._run('q-svc,mysql', *STACK, 'unstack', 'clean')
        self.assertEqual(before, self._options())
        self.assertEqual([], self._calls())

    def test_filter_and_driver_can_be_left_out(self) -> None:
        before = self._options()
        self._run(
            'n-sch,n-cpu',
            *STACK,
            NOVA_ARM_MIGRATE_DRIVER='False',
            NOVA_ARM_MIGRATE_FILTER='False',
        )
        self.assertEqual(before, self._options())
        self.assertEqual([], self._calls())

    def test_filters_of_others_are_kept(self) -> None:
        theirs = (*AVAILABLE, 'acme.filters.RackFilter')
        self._write([ALL_FILTERS, theirs, (*ENABLED, 'RackFilter')])
        self._run('n-sch', 'stack post-config')
        self.assertEqual(
            sorted(
                [
                    ALL_FILTERS,
                    theirs,
                    OUR_FILTER,
                    (*ENABLED, 'RackFilter,ArmMigrateFilter'),
                ]
            ),
            self._options(),
        )

    def test_filters_that_nova_conf_does_not_name(self) -> None:
        self._write([])
        self._run('n-sch', 'stack post-config')
        self.assertEqual(
            sorted(
                [
                    ALL_FILTERS,
                    OUR_FILTER,
                    (
                        *ENABLED,
                        'ComputeFilter,ImagePropertiesFilter,ArmMigrateFilter',
                    ),
                ]
            ),
            self._options(),
        )

    def test_configuring_twice_is_configuring_once(self) -> None:
        self._run('n-sch,n-cpu', 'stack post-config')
        once = self._options()
        self._run('n-sch,n-cpu', 'stack post-config')
        self.assertEqual(once, self._options())

    def test_unstack_takes_back_what_post_config_did(self) -> None:
        options = 'enforcement=warn'
        self._run('n-sch,n-cpu', *STACK, NOVA_ARM_MIGRATE_OPTIONS=options)
        self._run('n-sch,n-cpu', 'unstack', NOVA_ARM_MIGRATE_OPTIONS=options)
        self.assertEqual(
            sorted(
                [
                    STOCK_DRIVER,
                    ALL_FILTERS,
                    (*ENABLED, 'ComputeFilter,MyFilter'),
                ]
            ),
            self._options(),
        )
        self.assertEqual([], self._uninstalled())

    def test_what_neutron_writes_in_the_background_is_kept(self) -> None:
        theirs = ('neutron', 'region_name', 'RegionOne')
        self._run('n-sch,n-cpu,q-svc', *STACK)
        options = self._options()
        for option in (theirs, DRIVER, OUR_FILTER):
            self.assertIn(option, options)

    def test_devstack_without_background_jobs(self) -> None:
        self._run('n-cpu', 'stack post-config', ASYNC='False')
        self.assertIn(DRIVER, self._options())

    def test_release_that_is_too_old_is_refused_in_one_line(self) -> None:
        for version, hint in (
            ('30.1.0', ''),
            # What pbr makes of a clone without tags.
            ('0.0.1.dev7', '; clone Nova with its tags, without GIT_DEPTH'),
        ):
            with self.subTest(version):
                done = self._run(
                    'n-cpu',
                    'stack install',
                    status=1,
                    PYTHON=sys.executable,
                    NOVA_VERSION=version,
                )
                told = version.partition('.dev')[0]
                self.assertEqual(
                    'die: nova-arm-migrate supports Nova 31 to 34, not'
                    f' {told}{hint}\n',
                    done.stderr,
                )
                self.assertEqual([], self._calls())
                shutil.rmtree(self.state / 'nova')

    def test_oldest_release_is_installed_without_a_word(self) -> None:
        done = self._run(
            'n-sch',
            'stack install',
            PYTHON=sys.executable,
            NOVA_VERSION='31.0.0.0rc1',
        )
        self.assertEqual('', done.stderr)
        self.assertEqual([self._install()], self._calls())

    def test_newer_release_is_a_warning(self) -> None:
        done = self._run(
            'n-sch',
            'stack install',
            PYTHON=sys.executable,
            NOVA_VERSION='35.0.0',
        )
        self.assertEqual(
            'warn: nova-arm-migrate was not tested with Nova 35, but with'
            ' 31 to 34\n',
            done.stderr,
        )
        self.assertEqual([self._install()], self._calls())

    def test_python_without_nova_is_refused_in_one_line(self) -> None:
        done = self._run(
            'n-cpu', 'stack install', status=1, PYTHON='/usr/bin/python3'
        )
        self.assertRegex(
            done.stderr, r"^die: .*cannot import Nova: .*'nova'.*\n$"
        )
        self.assertEqual([], self._calls())

    def test_nova_in_an_environment_of_its_own(self) -> None:
        self._run('n-cpu', *STACK, 'clean', USE_VENV='True')
        venv = 'dest/nova.venv'
        self.assertEqual(
            [
                self._install(venv),
                'sudo usermod -a -G kvm stack',
                self._probe(venv),
                f'pip_uninstall in {self.state}/{venv}: nova-arm-migrate',
            ],
            self._calls(),
        )

    def test_no_environment(self) -> None:
        self._run('n-cpu', *STACK, 'clean', GLOBAL_VENV='False')
        self.assertEqual(
            [
                self._install('the system'),
                'sudo usermod -a -G kvm stack',
                self._probe('.'),
                'pip_uninstall in the system: nova-arm-migrate',
            ],
            [call.replace('/bin/', '/./bin/', 1) for call in self._calls()],
        )

    def test_everything_that_is_installed_has_its_requirements(self) -> None:
        """pip is told not to look at them: Nova has the same."""

        def required(distribution: str) -> set[str]:
            return {
                requirements.Requirement(text).name.replace('.', '-').lower()
                for text in metadata.requires(distribution) or ()
                if 'extra' not in text
            }

        ours = required('nova-arm-migrate')
        self.assertIn('nova', ours)
        self.assertEqual(set(), ours - required('nova') - {'nova'})

    def test_clean_uninstalls(self) -> None:
        self._run('n-sch,n-cpu', *STACK, 'unstack', 'clean')
        self.assertEqual(
            [f'pip_uninstall in {self.state}/venv: nova-arm-migrate'],
            self._uninstalled(),
        )

    def test_clean_without_nova_conf(self) -> None:
        (self.state / 'nova.conf').unlink()
        self._run('n-sch,n-cpu', 'clean')
        self.assertEqual(1, len(self._uninstalled()))

    def test_clean_without_the_environment(self) -> None:
        """The system's Python would refuse: it is externally managed."""
        self._run('n-cpu', 'clean', VENV_REMOVED='True')
        self.assertEqual([], self._calls())

    def test_documented_line_names_the_branch(self) -> None:
        """Without one, devstack fetches master."""
        lines = [
            line.strip(' #')
            for path in (
                *(ROOT / 'doc' / 'source').rglob('*.rst'),
                *(ROOT / 'devstack').iterdir(),
                ROOT / 'README.rst',
            )
            for line in path.read_text().splitlines()
            if 'enable_plugin nova-arm-migrate' in line
        ]
        self.assertNotEqual([], lines)
        for line in lines:
            self.assertRegex(
                line, r'^enable_plugin nova-arm-migrate \S+ main$'
            )

    def test_other_virt_driver_is_refused_in_one_line(self) -> None:
        done = self._run(
            'n-cpu', 'stack pre-install', status=1, VIRT_DRIVER='fake'
        )
        self.assertEqual(
            'die: nova-arm-migrate extends VIRT_DRIVER=libvirt, not fake\n',
            done.stderr,
        )

    def test_malformed_option_is_refused_in_one_line(self) -> None:
        done = self._run(
            'n-cpu',
            'stack post-config',
            status=1,
            NOVA_ARM_MIGRATE_OPTIONS='enforcement',
        )
        self.assertEqual(
            'die: NOVA_ARM_MIGRATE_OPTIONS: enforcement is not name=value\n',
            done.stderr,
        )

    def test_host_without_a_profile_does_not_stop_stack_sh(self) -> None:
        done = self._run('n-cpu', *STACK, PROBE_STATUS='2')
        self.assertIn('this host has no profile', done.stdout)
