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

"""Which baseline a guest gets, and what the service says of it."""

from collections.abc import Iterable
import dataclasses
import json
import pathlib
import re
import tempfile
from typing import Any
from unittest import mock
import uuid

from nova import exception
from nova import objects
import nova.conf

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import record
from nova_arm_migrate.core.cpu_baseline import start
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.traits import host_traits
from nova_arm_migrate.core.traits import is_generated
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.baseline import drift
from nova_arm_migrate.nova.baseline import extra_specs
from nova_arm_migrate.nova.baseline import starts
from nova_arm_migrate.nova.precheck import host_state
from nova_arm_migrate.nova.records import guest_record
from nova_arm_migrate.probe.recorded import RecordedHost
from tests import logs
from tests.unit.nova.baseline import pool

CONF = nova.conf.CONF
ISAR0 = 0xC030
objects.register_all()


def instance(
    spec: str = '',
    image: str = '',
    baseline: str | None = None,
    vm_state: str = 'active',
) -> Any:
    guest = dataclasses.replace(
        start(pool.baseline(), pool.hosts()[0]),
        baseline=baseline,
        baseline_digest=None,
    )
    return objects.Instance(
        uuid='5f6c0c1d-53f3-4f0b-8f0c-6a3a8e6b7c11',
        host='v1',
        vm_state=vm_state,
        flavor=objects.Flavor(
            extra_specs={'hw:arm_baseline': spec} if spec else {}
        ),
        system_metadata={'image_hw_arm_baseline': image} if image else {},
        vcpu_model=guest_record.put(None, guest),
    )


class TestChoice(logs.TestCase):
    def test_order(self) -> None:
        for spec, image, option, expected in (
            ('a', 'b', 'c', 'a'),
            ('', 'b', 'c', 'b'),
            ('', '', 'c', 'c'),
            ('', '', '', ''),
            ('none', 'b', 'c', ''),
            ('', 'none', 'c', ''),
        ):
            with self.subTest(f'{spec} {image} {option}'):
                self.assertEqual(
                    expected, choice.wanted(instance(spec, image), option)
                )

    def test_nova_knows_the_extra_spec(self) -> None:
        (check,) = extra_specs.register()
        check.validate('hw:arm_baseline', 'pool-1')
        with self.assertRaises(exception.ValidationError):
            check.validate('hw:arm_baseline', 'pool 1')


class TestBaselines(logs.TestCase):
    def setUp(self) -> None:
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.files = pathlib.Path(directory.name)
        (self.files / 'pool-1.json').write_text(
            baseline_file.dump(pool.baseline(version=2))
        )
        self.library = pool.library(self.files / 'shim.so')
        # What libvirt here does not know.
        self.unknown: set[str] = set()

    def libvirt(self, switched_off: Iterable[str]) -> str:
        for name in self.unknown.intersection(switched_off):
            return f'unknown CPU feature: {name}'
        return ''

    def service(
        self, host: Host | None = None, shim: bool = True, option: str = ''
    ) -> starts.Baselines:
        made = starts.Baselines(lambda: cache, lambda: option, self.libvirt)
        cache = host_state.HostProbeCache(
            lambda: RecordedHost(host or pool.hosts()[0]),
            lambda: None,
            made.completed,
        )
        self.cache = cache
        made.load(
            conf.Settings(
                baseline_directory=str(self.files),
                baseline_shim=self.library if shim else '',
            )
        )
        made.log()
        return made

    def why_not(
        self, service: starts.Baselines, identity: str = 'pool-1/2'
    ) -> str:
        guest = guest_record.take(instance(baseline=identity).vcpu_model)
        assert guest is not None
        return service.why_not(guest)

    def test_a_file_that_was_changed_and_kept_its_version(self) -> None:
        """A guest that resets itself must not get another CPU."""
        changed = pool.baseline(version=2)
        field = register_of(ISAR0).field('TS')
        registers = dict(changed.registers)
        registers[ISAR0] = field.into(registers[ISAR0], 0)
        (self.files / 'pool-1.json').write_text(
            baseline_file.dump(
                dataclasses.replace(changed, registers=Values(registers))
            )
        )
        service = self.service(pool.hosts()[1], option='pool-1')
        self.assertEqual({'pool-1/2'}, self.cache.host().baselines)
        # A guest with a record of an earlier version.
        (line,) = self.drift(service, instance(baseline='pool-1/2'))
        self.assertIn(
            'pool-1/2 and get pool-1/2 (other contents) at their next', line
        )
        words = (
            'the file here is another one: ID_AA64ISAR0_EL1.TS: guest 1, file'
            ' 0'
        )
        self.assertEqual(words, self.why_not(service))
        with self.assertRaisesRegex(starts.BaselineFailed, words):
            service.send(
                instance(baseline='pool-1/2'),
                objects.LibvirtLiveMigrateData(old_vol_attachment_ids={}),
            )

    def test_the_host_reports_what_it_offers(self) -> None:
        self.service()
        host = self.cache.host()
        self.assertEqual({'pool-1/2'}, host.baselines)
        trait = 'CUSTOM_ARM64_BASELINE_POOL_1_2'
        self.assertIn(trait, host_traits(host))
        self.assertTrue(is_generated(trait))

    def test_the_host_reports_what_its_files_have(self) -> None:
        self.service()
        host = self.cache.host()
        digest = pool.baseline(version=2).digest
        self.assertEqual((('pool-1/2', digest),), host.baseline_digests)
        self.assertEqual(digest, host.baseline_digest('pool-1/2'))
        self.assertIsNone(host.baseline_digest('pool-1/1'))

    def test_the_host_reports_the_option(self) -> None:
        for option, expected in (
            ('pool-1', 'pool-1'),
            ('', None),
            ('none', None),
            # No file can have it, and no record may.
            ('pool 1', None),
        ):
            service = self.service(option=option)
            host = service.with_default(self.cache.host())
            self.assertEqual(expected, host.baseline_default)
            self.assertEqual(host, record.load_host(record.dump_host(host)))

    def test_a_guest_that_is_to_have_another_one(self) -> None:
        service = self.service()
        plan = service.plan(instance('pool-1'))
        assert plan is not None
        ours = start(pool.baseline(2), pool.hosts()[0])
        plain = dataclasses.replace(ours, baseline=None, baseline_digest=None)
        for has, gets, expected in (
            (ours, plan, False),
            (dataclasses.replace(ours, baseline_digest=None), plan, False),
            (dataclasses.replace(ours, baseline_digest='0' * 16), plan, True),
            (dataclasses.replace(ours, baseline='pool-1/1'), plan, True),
            (ours, None, True),
            (plain, plan, True),
            (plain, None, False),
            (None, plan, False),
            ('not JSON', plan, False),
        ):
            self.assertIs(expected, service.changes(has, gets))

    def test_without_the_shim_it_says_why(self) -> None:
        service = self.service(shim=False)
        self.assertEqual(frozenset(), self.cache.host().baselines)
        with self.assertRaisesRegex(
            starts.BaselineFailed, 'pool-1: the shim: .* is not set'
        ):
            service.plan(instance('pool-1'))
        self.assertIn('baseline_shim is not set', self.why_not(service))

    def test_a_libvirt_that_does_not_know_a_feature(self) -> None:
        """As libvirt 9.0 for ``pauth``: no guest would start."""
        self.unknown = {'pauth'}
        service = self.service()
        self.assertEqual(frozenset(), self.cache.host().baselines)
        why = (
            'libvirt does not take its CPU features: unknown CPU feature:'
            ' pauth'
        )
        self.assertEqual(why, self.why_not(service))
        with self.assertRaisesRegex(starts.BaselineFailed, why):
            service.plan(instance('pool-1'))

    def test_a_libvirt_that_does_not_know_what_stays_on(self) -> None:
        self.unknown = {'aarch64'}
        self.service()
        self.assertEqual({'pool-1/2'}, self.cache.host().baselines)

    def test_guests_with_a_cpu_model_have_none(self) -> None:
        CONF.set_override('cpu_mode', 'custom', 'libvirt')
        self.addCleanup(CONF.clear_override, 'cpu_mode', 'libvirt')
        service = self.service()
        self.assertEqual(frozenset(), self.cache.host().baselines)
        self.assertEqual(
            'a guest CPU baseline needs [libvirt] cpu_mode ='
            ' host-passthrough, not custom',
            self.why_not(service),
        )

    def test_a_name_that_there_is_no_file_of(self) -> None:
        with self.assertRaisesRegex(
            starts.BaselineFailed, 'other: this host has no file of this name'
        ):
            self.service().plan(instance('other'))

    def test_a_guest_without_a_baseline(self) -> None:
        self.assertIsNone(self.service().plan(instance()))

    def test_the_destination_tells_what_its_qemu_needs(self) -> None:
        data = objects.LibvirtLiveMigrateData(old_vol_attachment_ids={})
        self.service().send(instance(baseline='pool-1/2'), data)
        needs = json.loads(data.old_vol_attachment_ids['arm_migrate.baseline'])
        self.assertEqual(self.library, needs['environment']['LD_PRELOAD'])
        guest = mock.Mock()
        xml = (
            "<domain><cpu><feature name='pauth' policy='disable'/></cpu>"
            '</domain>'
        )
        moving = starts.GuestWithBaseline(guest, json.dumps(needs))
        moving.migrate('qemu+tcp://n2/system', destination_xml=xml, flags=3)
        ((uri,), kwargs) = guest.migrate.call_args
        self.assertEqual(('qemu+tcp://n2/system', 3), (uri, kwargs['flags']))
        self.assertTrue(
            re.search(
                f'name="LD_PRELOAD" value="{re.escape(self.library)}"',
                kwargs['destination_xml'],
            )
        )
        self.assertIn('name="pauth"', kwargs['destination_xml'])
        with self.assertRaisesRegex(
            starts.BaselineFailed,
            'pool-1/2: pauth is switched off by the destination and not',
        ):
            moving.migrate('qemu+tcp://n2/system', destination_xml='<domain/>')
        guest.migrate.assert_called_once()

    def test_the_destination_has_another_version(self) -> None:
        data = objects.LibvirtLiveMigrateData(old_vol_attachment_ids={})
        with self.assertRaisesRegex(
            starts.BaselineFailed, 'this host has version 2, not 1'
        ):
            self.service().send(instance(baseline='pool-1/1'), data)

    def test_the_destination_has_an_older_version_too(self) -> None:
        (self.files / 'pool-1@1.json').write_text(
            baseline_file.dump(pool.baseline())
        )
        service = self.service()
        self.assertEqual({'pool-1/1', 'pool-1/2'}, self.cache.host().baselines)
        self.assertEqual('', self.why_not(service, 'pool-1/1'))
        service.send(
            instance(baseline='pool-1/1'),
            objects.LibvirtLiveMigrateData(old_vol_attachment_ids={}),
        )
        plan = service.plan(instance('pool-1'))
        assert plan is not None
        self.assertEqual('pool-1/2', plan.baseline.identity)

    def drift(self, service: starts.Baselines, *guests: Any) -> list[str]:
        with self.assertLogs(drift.LOG.logger, 'DEBUG') as caught:
            # assertLogs fails without an entry.
            drift.LOG.debug('begin')
            for one in service.drifts(guests):
                drift.log(one)
        return caught.output[1:]

    def test_guests_on_an_older_version(self) -> None:
        older = [instance(baseline='pool-1/1') for _ in range(22)]
        (line,) = self.drift(
            self.service(option='pool-1'),
            *older,
            instance(baseline='pool-1/2'),
            # Without a baseline: not named.
            instance(),
            instance('none'),
            # It gets the new one when it is powered on.
            instance(baseline='pool-1/1', vm_state='stopped'),
        )
        self.assertIn(
            '22 guests run on the guest CPU baseline pool-1/1 and get pool-1/2'
            ' at their next hard reboot: 5f6c0c1d-',
            line,
        )
        self.assertTrue(line.endswith(' and 2 more'))

    def test_what_was_told_is_not_told_again(self) -> None:
        service = self.service()
        first, second = (instance(baseline='pool-1/2') for _ in range(2))
        first.uuid, second.uuid = (str(uuid.UUID(int=n)) for n in range(2))

        def fresh(*guests: Any) -> list[tuple[str, ...]]:
            found = service.drifts(guests)
            return [one.guests for one in service.fresh_drifts(found)]

        self.assertEqual([(first.uuid,)], fresh(first))
        self.assertEqual([], fresh(first))
        self.assertEqual([(first.uuid, second.uuid)], fresh(first, second))
        self.assertEqual([], fresh(second))
        self.assertEqual([], fresh())
        self.assertEqual([(second.uuid,)], fresh(second))

    def test_guests_that_are_to_have_none(self) -> None:
        (line,) = self.drift(self.service(), instance(baseline='pool-1/2'))
        self.assertIn('pool-1/2 and get none at their', line)

    def test_guests_whose_baseline_is_lost(self) -> None:
        host = dataclasses.replace(pool.hosts()[0], cntfrq=1_000_000_000)
        (line,) = self.drift(
            self.service(host, option='pool-1'),
            instance(baseline='pool-1/2'),
            instance('pool-1', vm_state='stopped', baseline='pool-1/1'),
            # Without a baseline, although it is to have one: not named.
            instance(),
        )[:1]
        self.assertIn('1 guests run on the guest CPU baseline pool-1/1', line)
        self.assertIn('does not offer any more (CNTFRQ_EL0: baseline', line)
        self.assertNotIn('\n', line)

    def test_guests_whose_file_is_gone(self) -> None:
        service = self.service()
        (line,) = self.drift(service, instance(baseline='other/1'))
        self.assertIn('(this host has no file of this name)', line)
