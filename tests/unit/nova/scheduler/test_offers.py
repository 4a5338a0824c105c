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


"""Which hosts start a guest on its baseline, by version and contents."""

import dataclasses
from typing import Any

from nova import objects

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.vcpu import guest_started_on
from tests.unit.core import synthetic as s
from tests.unit.nova.scheduler import test_arm_filter as filters

OURS, OTHER = '0123456789abcdef', 'fedcba9876543210'
HAS = 'pool/2'


def host(*identities: str, digest: str | None = OURS, **more: Any) -> Host:
    """A host that offers baselines, all with the same contents."""
    return s.host(
        baselines=frozenset(identities),
        baseline_digests=tuple((one, digest) for one in identities)
        if digest
        else (),
        **more,
    )


def guest(identity: str | None = HAS, digest: str | None = OURS) -> Guest:
    return dataclasses.replace(
        guest_started_on(s.host()), baseline=identity, baseline_digest=digest
    )


def flavor(name: str = '') -> objects.Flavor:
    return objects.Flavor(
        memory_mb=1024, extra_specs={'hw:arm_baseline': name} if name else {}
    )


class TestStartsAgain(filters.FilterTestCase):
    """A cold migration, a resize or an evacuation."""

    def passing(
        self, *, name: str = 'pool', image: str = '', **hosts: Host | str
    ) -> list[str]:
        self.db.instance.uuid = filters.UUID
        self.db.instance.task_state = 'resize_prep'
        self.db.instance.flavor = flavor(name)
        if image:
            self.db.instance.system_metadata = {'image_hw_arm_baseline': image}
        return self.names(
            filters.states(**hosts), filters.request(flavor=flavor(name))
        )

    def test_version_and_contents(self) -> None:
        self.db = filters.Database(guest=guest())
        with self.assertLogs(filters.LOG, 'INFO') as logged:
            found = self.passing(
                same=host(HAS),
                newer=host('pool/1', 'pool/3', digest=OTHER),
                older=host('pool/1'),
                changed=host(HAS, digest=OTHER),
                old_record=host(HAS, digest=None),
                none=host('other/2'),
                stock=filters.STOCK,
            )
        self.assertEqual(['same', 'newer', 'old_record'], found)
        dropped, doubted = (one.getMessage() for one in logged.records)
        self.assertIn('4 of 7 hosts dropped', dropped)
        for words in (
            'pool: not offered: none, stock',
            'pool/2: only pool/1 is offered: older',
            'pool/2: other contents are offered: changed',
        ):
            self.assertIn(words, dropped)
        self.assertIn(
            '1 hosts pass and may refuse it: pool/2: the record of the host'
            ' has no contents: old_record',
            doubted,
        )

    def test_a_guest_with_an_old_record(self) -> None:
        self.db = filters.Database(guest=guest(digest=None))
        with self.assertLogs(filters.LOG, 'INFO') as logged:
            self.assertEqual(['a'], self.passing(a=host(HAS), b=host()))
        self.assertIn(
            "pool/2: the guest's record has no contents: a", logged.output[1]
        )

    def test_the_property_of_the_image(self) -> None:
        self.db = filters.Database(guest=guest(None))
        hosts = {'a': host(HAS), 'b': host()}
        self.assertEqual(['a'], self.passing(name='', image='pool', **hosts))
        self.assertEqual(
            ['a', 'b'], self.passing(name='none', image='pool', **hosts)
        )

    def test_the_option_of_each_host(self) -> None:
        self.db = filters.Database(guest=guest(None))
        self.assertEqual(
            ['plain', 'offers'],
            self.passing(
                name='',
                plain=host(),
                offers=host(HAS, baseline_default='pool'),
                lacks=host('other/1', baseline_default='pool'),
            ),
        )

    def test_another_baseline_than_before(self) -> None:
        self.db = filters.Database(guest=guest())
        self.assertEqual(
            ['a'], self.passing(name='new', a=host('new/1'), b=host(HAS))
        )


class TestMoves(filters.FilterTestCase):
    """A live migration."""

    def test_version_and_contents(self) -> None:
        self.db = filters.Database(guest=guest(), source=host(HAS))
        self.db.instance.uuid = filters.UUID
        with self.assertLogs(filters.LOG, 'INFO') as logged:
            found = self.names(
                filters.states(
                    same=host('pool/1', HAS),
                    newer=host('pool/3'),
                    changed=host(HAS, digest=OTHER),
                    old_record=host(HAS, digest=None),
                )
            )
        # The destination compares its file with the guest.
        self.assertEqual(['same', 'old_record'], found)
        dropped, doubted = (one.getMessage() for one in logged.records)
        self.assertIn('BASELINE: guest pool/2, host another one: ch', dropped)
        self.assertIn('BASELINE: guest pool/2, host pool/3: newer', dropped)
        self.assertIn('has no contents: old_record', doubted)
        # Also without a trial, and if all pass.
        self.settings = dataclasses.replace(self.settings, trial=False)
        with self.assertLogs(filters.LOG, 'INFO') as logged:
            self.assertEqual(
                ['a'], self.names(filters.states(a=host(HAS, digest=None)))
            )
        self.assertIn('1 hosts pass and may refuse it', logged.output[0])


class TestNew(filters.FilterTestCase):
    def passing(self, name: str, **hosts: Host | str) -> list[str]:
        return self.names(
            filters.states(**hosts),
            filters.request(ignore=(), flavor=flavor(name)),
        )

    def test_only_the_flavor_counts(self) -> None:
        hosts = {'a': host(HAS), 'b': host(baseline_default='pool')}
        self.assertEqual(['a'], self.passing('pool', **hosts))
        self.assertEqual(['a', 'b'], self.passing('none', **hosts))
        self.assertEqual(['a', 'b'], self.passing('', **hosts))
        self.assertEqual([], self.db.queries)

    def test_hosts_that_contradict_each_other(self) -> None:
        with self.assertLogs(filters.LOG, 'WARNING') as logged:
            self.passing(
                'pool',
                a=host(HAS),
                b=host(HAS, digest=OTHER),
                c=host(HAS, digest=None),
            )
        (line,) = logged.output
        self.assertIn(
            'Hosts offer different contents as the guest CPU baseline pool/2.',
            line,
        )
        with self.assertNoLogs(filters.LOG, 'WARNING'):
            self.passing('pool', a=host(HAS), c=host(HAS, digest=None))
