# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

import json
import os
import pathlib
import subprocess
import sys
import xml.etree.ElementTree

import fixtures
import testtools

from tests.lab import build
from tests.lab import guest
from tests.lab import host
from tests.lab import processes
from tests.lab import rootfs
from tests.lab import spec
from tests.present import present


def arguments(text: str) -> list[str]:
    image = build.Image('trixie', pathlib.Path('/images/trixie'))
    return host.emulator_arguments(
        spec.parse(text), image, pathlib.Path('/run/h7'), 'h7', 7
    )


class EmulatorTest(testtools.TestCase):
    def option(self, argv: list[str], name: str) -> str:
        return argv[argv.index(name) + 1]

    def test_the_machine_has_el2(self) -> None:
        argv = arguments('neoverse-v1,sve=off+gic=2+mte=1')
        self.assertEqual(
            'virt,virtualization=on,gic-version=2,mte=on',
            self.option(argv, '-machine'),
        )
        self.assertEqual('neoverse-v1,sve=off', self.option(argv, '-cpu'))

    def test_a_kernel_that_hides_aarch32(self) -> None:
        for text, there in (
            ('neoverse-n1', False),
            ('neoverse-n1+aarch32=0', True),
        ):
            append = self.option(arguments(text), '-append').split()
            self.assertEqual(there, 'arm64.no32bit_el0' in append)

    def test_two_hosts_have_different_uuids(self) -> None:
        one, other = (
            self.option(arguments('a64fx'), '-append') for _ in range(2)
        )
        self.assertNotEqual(one, other)

    def test_numa_nodes_share_the_memory(self) -> None:
        argv = arguments('neoverse-n1+numa=2+ram=2048')
        self.assertEqual('2048', self.option(argv, '-m'))
        self.assertIn('memory-backend-ram,id=m1,size=1024M', argv)
        self.assertIn('node,nodeid=1,memdev=m1,cpus=2,cpus=3', argv)

    def test_cpus_are_dealt_out_to_the_nodes(self) -> None:
        argv = arguments('neoverse-n1+numa=2+interleave=1')
        self.assertIn('node,nodeid=0,memdev=m0,cpus=0,cpus=2', argv)
        self.assertIn('node,nodeid=1,memdev=m1,cpus=1,cpus=3', argv)

    def test_each_network_card_has_a_tap_and_an_address(self) -> None:
        argv = arguments('neoverse-n1+nics=2')
        self.assertIn('tap,id=net0,ifname=tap7,script=no,downscript=no', argv)
        self.assertIn(
            'tap,id=net1,ifname=tap7x1,script=no,downscript=no', argv
        )
        cards = [word for word in argv if word.startswith('virtio-net-pci')]
        self.assertEqual(2, len({card.partition('mac=')[2] for card in cards}))
        self.assertNotIn('tap7x1', ' '.join(arguments('neoverse-n1')))


class DomainTest(testtools.TestCase):
    def test_features_are_switched(self) -> None:
        tree = xml.etree.ElementTree.fromstring(
            guest.domain_xml('g', {'sve': False, 'pmu': True}, 2)
        )
        self.assertEqual(
            {'sve': 'disable'},
            {
                one.get('name'): one.get('policy')
                for one in tree.findall('cpu/feature')
            },
        )
        # "unknown CPU feature: pmu" (virCPUarmValidateFeatures)
        self.assertEqual('on', present(tree.find('features/pmu')).get('state'))
        self.assertEqual(
            '2', present(tree.find('features/gic')).get('version')
        )

    def test_a_broken_guest_ends_unless_it_is_to_boot_again(self) -> None:
        for reboots, action in ((False, 'destroy'), (True, 'restart')):
            tree = xml.etree.ElementTree.fromstring(
                guest.domain_xml('g', {}, reboots=reboots)
            )
            self.assertEqual(action, tree.findtext('on_reboot'))

    def test_a_busy_guest_is_told_so_by_its_command_line(self) -> None:
        for dirty, words in ((0, []), (24, ['dirty=24'])):
            tree = xml.etree.ElementTree.fromstring(
                guest.domain_xml('g', {}, dirty=dirty)
            )
            said = present(tree.findtext('os/cmdline')).split()
            self.assertEqual(
                words, [one for one in said if one.startswith('dirty')]
            )


class BuildTest(testtools.TestCase):
    def test_the_line_that_a_user_can_act_on(self) -> None:
        refused = 'I: running\nE: Failed to fetch x\nE: apt failed\n'
        full = 'tar: a: Cannot mkdir: No space left on device\nE: tar: 512\n'
        for text, line in (
            (refused, 'E: Failed to fetch x'),
            (full, full.splitlines()[0]),
            ('W: odd\n', 'W: odd'),
            ('', 'no text'),
        ):
            self.assertEqual(line, build.what_went_wrong(text))


class ModulesTest(testtools.TestCase):
    DEP = (
        'kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko'
        ' kernel/lib/crc16.ko\n'
        'kernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc16.ko:\n'
        'kernel/drivers/virtio-rng.ko.xz:\n'
    )

    def test_what_is_needed_is_loaded_first(self) -> None:
        self.assertEqual(
            [
                'kernel/lib/crc16.ko',
                'kernel/fs/jbd2/jbd2.ko',
                'kernel/fs/ext4/ext4.ko',
            ],
            rootfs.dependencies(['ext4'], self.DEP),
        )

    def test_dashes_suffixes_and_what_is_built_in(self) -> None:
        self.assertEqual(
            ['kernel/drivers/virtio-rng.ko.xz'],
            rootfs.dependencies(['virtio_rng', 'built_in'], self.DEP),
        )


class ProcessTest(testtools.TestCase):
    def child(self) -> processes.Process:
        child = subprocess.Popen(
            [sys.executable, '-c', 'input()'], stdin=subprocess.PIPE
        )
        self.addCleanup(child.wait)
        self.addCleanup(present(child.stdin).close)
        self.addCleanup(child.kill)
        return processes.Process.of(child.pid)

    def test_a_running_process_is_ended(self) -> None:
        process = self.child()
        self.assertTrue(process.alive())
        process.end()
        self.assertFalse(process.alive())

    def test_the_pid_of_somebody_else_is_left_alone(self) -> None:
        process = self.child()
        processes.Process(process.pid, process.started - 1).end()
        self.assertTrue(process.alive())

    def test_no_such_process(self) -> None:
        self.assertRaises(ProcessLookupError, processes.Process.of, 1 << 30)

    def test_of_this_one(self) -> None:
        self.assertTrue(processes.Process.of(os.getpid()).alive())


class SweepTest(testtools.TestCase):
    def test_a_lab_of_another_version_is_ended_too(self) -> None:
        folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.useFixture(
            fixtures.EnvironmentVariable('NOVA_ARM_LAB_DIR', str(folder))
        )
        lab = folder / 'run' / 'of-1'
        lab.mkdir(parents=True)
        gone = [1 << 30, 1]
        (lab / 'state.json').write_text(
            json.dumps(
                {
                    'owner': gone,
                    'holder': gone,
                    'hosts': [
                        {
                            'name': 'h1',
                            'number': 1,
                            'process': gone,
                            'spec': 'neoverse-n9+wings=2',
                        }
                    ],
                }
            )
        )
        self.assertEqual(['of-1'], host.sweep())
        self.assertFalse(lab.exists())
