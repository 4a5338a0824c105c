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


"""NUMA layouts of migrating guests, compared with the stock driver."""

from collections.abc import Collection
from collections.abc import Mapping
from typing import Any
from unittest import mock

from nova.tests.fixtures import libvirt as fakelibvirt
from nova.virt.libvirt import config as vconfig

from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.numa.layout import Scheduler
from simulated import hypervisor
from tests.functional import base
from tests.functional import numa_base

Nodes = Mapping[int, Collection[int]]
#: Typical nodes of Arm servers: {node: CPUs}.
CONTIGUOUS: Nodes = {0: range(4), 1: range(4, 8)}
INTERLEAVED: Nodes = {0: range(0, 8, 2), 1: range(1, 8, 2)}
ONE: Nodes = {0: range(8)}
FOUR: Nodes = {0: (0, 1), 1: (2, 3), 2: (4, 5), 3: (6, 7)}
EIGHT: Nodes = {node: (node,) for node in range(8)}
SPARSE: Nodes = {0: (0, 1, 2, 3), 4: (4, 5, 6, 7)}

#: A guest that Nova has not started.
STRAY = """\
<domain type='kvm'><name>stray</name>
  <uuid>11111111-2222-3333-4444-555555555555</uuid>
  <memory>1</memory><vcpu>1</vcpu>
  <os><type arch='aarch64'>hvm</type></os>
  <cputune><vcpupin vcpu='0' cpuset='0'/></cputune>
</domain>"""


class TestLayouts(numa_base.NumaServersTestBase):
    def test_from_one_topology_to_another(self) -> None:
        self.flags(cpu_dedicated_set='0-7', group='compute')
        for number, (source, destination) in enumerate(
            (
                (CONTIGUOUS, INTERLEAVED),
                (ONE, FOUR),
                (FOUR, SPARSE),
                (EIGHT, ONE),
                (FOUR, EIGHT),
            )
        ):
            with self.subTest(f'{source} to {destination}'):
                names = [f'{end}{number}' for end in 'ab']
                self.numa_host(names[0], source)
                self.numa_host(names[1], destination)
                vcpu = 1 if EIGHT in (source, destination) else 2
                # One guest is already there, on the CPUs of a plain copy.
                there = self.pinned(names[1], vcpu)
                server = self.pinned(names[0], vcpu)
                self.moves(server, names[1])
                layout = self.as_claimed(server)
                taken = set(self.pins(there).values())
                self.assertFalse(taken & layout.cpus)
                self.assertEqual(
                    taken | set(self.pins(server).values()),
                    self.used_cpus(names[1]),
                )

    def test_two_cells_and_back(self) -> None:
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', FOUR)
        server = self.pinned('a', 4, hw__numa_nodes='2')
        before = self.as_claimed(server)
        self.moves(server, 'b')
        self.assertEqual(
            {2},
            {
                len(cell.cpu_pinning)
                for cell in self.with_context(server).numa_topology.cells
            },
        )
        self.as_claimed(server)
        self.moves(server, 'a')
        self.assertEqual(before, self.as_claimed(server))

    def test_huge_pages(self) -> None:
        self.flags(cpu_dedicated_set='0-7', group='compute')
        for base_page, huge, total in ((4, 2048, 512), (64, 524288, 4)):
            with self.subTest(base_page):
                names = [f'{end}{base_page}' for end in 'ab']
                pages = ((base_page, None), (huge, total))
                self.numa_host(names[0], CONTIGUOUS, pages=pages)
                self.numa_host(names[1], INTERLEAVED, pages=pages)
                server = self.pinned(names[0], hw__mem_page_size=str(huge))
                self.moves(server, names[1])
                self.assertEqual(
                    [huge],
                    [cell.page_kib for cell in self.as_claimed(server).cells],
                )

    def test_realtime(self) -> None:
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', INTERLEAVED)
        self.pinned('b')
        server = self.pinned(
            'a', 3, hw__cpu_realtime='yes', hw__cpu_realtime_mask='^0'
        )
        self.moves(server, 'b')
        layout = self.as_claimed(server)
        self.assertEqual(
            Scheduler(frozenset({1, 2}), 'fifo', 1), layout.scheduler
        )
        self.assertEqual(layout.vcpus[0], layout.emulator)

    def test_emulator_threads_and_a_mixed_policy(self) -> None:
        self.flags(
            cpu_dedicated_set='0-2,4-6', cpu_shared_set='3,7', group='compute'
        )
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', CONTIGUOUS)
        self.pinned('b', 3)
        shared = self.pinned('a', hw__emulator_threads_policy='share')
        self.moves(shared, 'b')
        self.assertEqual({3, 7}, self.as_claimed(shared).emulator)
        self.assertEqual({3, 7}, self.as_claimed(shared).iothread(1))
        mixed = self.pinned(
            'a', 2, hw__cpu_policy='mixed', hw__cpu_dedicated_mask='0'
        )
        self.moves(mixed, 'b')
        layout = self.layout(mixed)
        self.assertEqual(
            self.pins(mixed),
            dict(layout.dedicated)
            if len(layout.vcpus[1]) > 1
            else {0: layout.dedicated[0]},
        )
        self.assertIsNone(layout.shared)

    def test_stock_stamps_a_shared_set_on_a_pinned_guest(self) -> None:
        self.flags(
            cpu_dedicated_set='0-2,4-6', cpu_shared_set='3,7', group='compute'
        )
        self.numa_host('a', CONTIGUOUS, base.STOCK)
        self.numa_host('b', CONTIGUOUS, base.STOCK)
        server = self.pinned('a')
        self.assertIsNone(self.layout(server).shared)
        self.moves(server, 'b')
        self.assertEqual({3, 7}, self.layout(server).shared)

    def test_every_iothread(self) -> None:
        # Nova creates one; an operator may have added more to a guest.
        self.flags(cpu_dedicated_set='0-7', group='compute')
        for kind in (base.STOCK, base.OURS):
            names = [f'{end}-{kind[:3]}' for end in 'ab']
            self.numa_host(names[0], CONTIGUOUS, kind)
            self.numa_host(names[1], CONTIGUOUS, kind)
            self.pinned(names[1], 2)
            server = self.pinned(names[0], 2)
            domain = self.domain(server)
            domain._xml = domain._xml.replace(
                '<iothreads>1<', '<iothreads>2<'
            ).replace(
                '<emulatorpin',
                '<iothreadpin iothread="2" cpuset="0-1"/><emulatorpin',
            )
            self.moves(server, names[1])
            layout = self.layout(server)
            self.assertFalse({0, 1} & (layout.emulator or frozenset()))
            with self.subTest(kind):
                if kind == base.OURS:
                    # Nova pins them since release 33.
                    tune = vconfig.LibvirtConfigGuestCPUTune()
                    count = 2 if hasattr(tune, 'iothreadpin') else 0
                    self.assertEqual(
                        {n + 1: layout.emulator for n in range(count)},
                        dict(layout.iothreads),
                    )
                else:
                    # One vCPU has stayed on another guest's CPUs.
                    self.assertIn({0, 1}, layout.iothreads.values())

    def test_a_source_without_the_elements(self) -> None:
        self.flags(cpu_dedicated_set='0-7', group='compute')
        for kind in (base.STOCK, base.OURS):
            names = [f'{end}-{kind[:3]}' for end in 'ab']
            self.numa_host(names[0], CONTIGUOUS, kind)
            self.numa_host(names[1], INTERLEAVED, kind)
            server = self.pinned(names[0])
            domain = self.domain(server)
            domain._xml = domain._xml.replace(
                '<emulatorpin cpuset="0-1"/>', ''
            )
            self.assertNotIn('emulatorpin', domain._xml)
            with self.subTest(kind):
                if kind == base.OURS:
                    self.moves(server, names[1])
                    self.as_claimed(server)
                else:
                    # AttributeError in the thread that migrates.
                    _status, now = self.start_migration(server, names[1])
                    self.assertEqual(base.STOCK_FAILED[0], now['status'])


class TestMixedFleet(numa_base.NumaServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.flags(unknown='allow', group='arm_migrate')

    def test_a_destination_without_the_extension(self) -> None:
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', INTERLEAVED, base.STOCK)
        server = self.pinned('a')
        self.moves(server, 'b')
        self.as_claimed(server)
        self.assertIn(
            'The destination does not ask for NUMA layouts',
            self.stdlog.logger.output,
        )

    def test_a_source_without_the_extension(self) -> None:
        self.numa_host('a', CONTIGUOUS, base.STOCK)
        self.numa_host('b', INTERLEAVED)
        server = self.pinned('a')
        self.moves(server, 'b')
        self.as_claimed(server)
        self.assertIn(
            'The source does not send NUMA layouts', self.stdlog.logger.output
        )


class TestDryRun(numa_base.NumaServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', INTERLEAVED)

    def refused_early(self, server: dict[str, Any], words: str) -> None:
        """Check a refusal before the migration that leaves nothing."""
        before = self.pins(server)
        self.stays(server, 'b', 'error')
        (details,) = self.details(server, base.CHECK)
        self.assertIn(words, details)
        self.assertEqual(set(), self.used_cpus('b'))
        self._run_periodics()
        self.assertEqual(set(), self.used_cpus('b'))
        self.assertEqual(before, self.pins(server))
        self.assertIsNone(self.with_context(server).migration_context)

    def test_what_libvirt_does_not_take(self) -> None:
        server = self.pinned('a')
        tried = []

        def convert(form: str, xml: str, flags: int) -> None:
            # The trial asks too, with a domain of its own.
            if server['id'] in xml:
                tried.append(xml)
            raise fakelibvirt.make_libvirtError(
                fakelibvirt.libvirtError,
                'unsupported configuration:'
                ' Emulator does not support machine type virt-99.0',
            )

        self.arm.hosts['b'].connection.domainXMLToNative = convert
        self.refused_early(
            server,
            'numa: /domain: b: libvirt: unsupported'
            ' configuration: Emulator does not support',
        )
        self.assertEqual(2, len(tried))
        self.assertNotIn('<disk', tried[1])

    def test_what_is_made_later_is_not_held_against_the_guest(self) -> None:
        server = self.pinned('a')

        def convert(form: str, xml: str, flags: int) -> None:
            if '<disk' in xml:
                raise fakelibvirt.make_libvirtError(
                    fakelibvirt.libvirtError, 'no such disk'
                )

        self.arm.hosts['b'].connection.domainXMLToNative = convert
        self.moves(server, 'b')

    def test_cpus_of_a_guest_that_nova_does_not_know(self) -> None:
        server = self.pinned('a')
        self.arm.hosts['b'].connection.incoming(STRAY, None)
        self.refused_early(
            server,
            '/domain/cputune/vcpupin[@vcpu=0]: b: CPU 0 is also held by stray',
        )

    def test_huge_pages_that_somebody_has_taken(self) -> None:
        pages = ((4, None), (2048, 512))
        for name in ('c', 'd'):
            self.numa_host(name, CONTIGUOUS, pages=pages)
        server = self.pinned('c', hw__mem_page_size='2048')
        self.arm.hosts['d'].connection.getFreePages = (
            lambda sizes, node, count, flags: {node: dict.fromkeys(sizes, 7)}
        )
        self.stays(server, 'd', 'error')
        (details,) = self.details(server, base.CHECK)
        self.assertIn(
            '/domain/memoryBacking/hugepages/page: d: node 0 has 7'
            ' free pages of 2048 KiB, the guest needs 256',
            details,
        )
        self.assertEqual(set(), self.used_cpus('d'))

    def test_a_host_that_changes_between_the_check_and_the_move(self) -> None:
        pages = ((4, None), (2048, 512))
        for name in ('c', 'd'):
            self.numa_host(name, CONTIGUOUS, pages=pages)
        server = self.pinned('c', hw__mem_page_size='2048')
        before = self.pins(server)
        connection = self.arm.hosts['d'].connection
        numa = self.computes['d'].driver._numa
        send = numa.send

        def late(*args: Any) -> None:
            connection.getFreePages = lambda sizes, node, count, flags: {
                node: dict.fromkeys(sizes, 7)
            }
            send(*args)

        with mock.patch.object(numa, 'send', late):
            self.stays(server, 'd', 'failed')
        (details,) = self.details(server, 'compute_pre_live_migration')
        self.assertIn('d: node 0 has 7 free pages of 2048 KiB', details)
        self._run_periodics()
        self.assertEqual(set(), self.used_cpus('d'))
        self.assertEqual(before, self.pins(server))
        self.assertIsNone(self.with_context(server).migration_context)


class TestLanded(numa_base.NumaServersTestBase):
    def setUp(self) -> None:
        super().setUp()
        self.flags(cpu_dedicated_set='0-7', group='compute')
        self.numa_host('a', CONTIGUOUS)
        self.numa_host('b', INTERLEAVED)

    def landing(self, old: str, new: str) -> None:
        """Make the destination's libvirt change the XML on arrival."""
        connection = self.arm.hosts['b'].connection
        incoming = connection.incoming

        def other(xml: str, *args: Any, **kwargs: Any) -> Any:
            self.assertIn(old, xml)
            return incoming(xml.replace(old, new), *args, **kwargs)

        connection.incoming = other

    def test_pins_are_repaired(self) -> None:
        server = self.pinned('a')
        self.landing(
            '<vcpupin vcpu="1" cpuset="2"/>', '<vcpupin vcpu="1" cpuset="5"/>'
        )
        repaired = []

        def pin(
            domain: hypervisor.ArmDomain,
            vcpu: int,
            cpus: tuple[bool, ...],
            flags: int,
        ) -> None:
            repaired.append((vcpu, cpus))
            domain._xml = domain._xml.replace('cpuset="5"', 'cpuset="2"')

        self.stub_out('simulated.hypervisor.ArmDomain.pinVcpuFlags', pin)
        self.moves(server, 'b')
        self.assertEqual([(1, (False, False, True))], repaired)
        self.as_claimed(server)
        self.assertIn(
            'repaired: vCPU 1: CPU 2 wanted, 5 found (libvirt)',
            self.stdlog.logger.output,
        )
        self.assertEqual([], self.details(server, 'arm_migrate_numa_layout'))

    def test_memory_is_reported(self) -> None:
        server = self.pinned('a')
        self.landing(
            '<memnode cellid="0" mode="strict" nodeset="0"/>',
            '<memnode cellid="0" mode="strict" nodeset="1"/>',
        )
        self.moves(server, 'b')
        self.assertEqual(
            ['memory of cell 0: node 0 wanted, 1 found (libvirt)'],
            self.details(server, 'arm_migrate_numa_layout'),
        )

    def test_shared_cores_are_reported(self) -> None:
        server = self.pinned('a')
        connection = self.arm.hosts['b'].connection
        incoming = connection.incoming

        def with_another(*args: Any, **kwargs: Any) -> Any:
            incoming(STRAY, None)
            return incoming(*args, **kwargs)

        connection.incoming = with_another
        self.moves(server, 'b')
        self.assertEqual(
            ['/domain/cputune/vcpupin[@vcpu=0]: CPU 0 is also held by stray'],
            self.details(server, 'arm_migrate_numa_layout'),
        )

    def test_a_proof_that_fails_does_not_harm_the_guest(self) -> None:
        server = self.pinned('a')
        with mock.patch.object(
            numa_host, 'live', autospec=True, side_effect=OSError
        ):
            self.moves(server, 'b')
        self.as_claimed(server)
