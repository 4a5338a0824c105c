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

"""The guest's record in its instance's vcpu_model."""

import json
import unittest
from unittest import mock

from nova import context as nova_context
from nova import objects

from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.nova.records import guest_record
from tests.unit.core import synthetic as s

objects.register_all()


def vcpu_model() -> objects.VirtCPUModel:
    return objects.VirtCPUModel(
        arch='aarch64',
        mode='host-passthrough',
        model=None,
        features=[objects.VirtCPUFeature(name='sve', policy='disable')],
    )


class TestKeeping(unittest.TestCase):
    guest = guest_started_on(
        s.host(), disabled=frozenset({'sve'}), gic=3, memory=1 << 31
    )

    def test_round_trip_through_the_database(self) -> None:
        model = guest_record.put(vcpu_model(), self.guest)
        stored = model.to_json()
        # instance_extra.vcpu_model is a Text: 65535 bytes with MySQL.
        self.assertLess(len(stored), 8192)
        self.assertEqual(
            self.guest,
            guest_record.take(objects.VirtCPUModel.from_json(stored)),
        )

    def test_what_nova_put_there_stays(self) -> None:
        model = guest_record.put(vcpu_model(), self.guest)
        self.assertEqual(
            [('sve', 'disable')],
            [(f.name, f.policy) for f in guest_record.cpu_features(model)],
        )
        guest_record.put(model, None)
        self.assertEqual(vcpu_model().to_json(), model.to_json())

    def test_there_is_never_more_than_one(self) -> None:
        model = guest_record.put(vcpu_model(), self.guest)
        other = guest_started_on(s.host())
        guest_record.put(model, other)
        self.assertEqual(2, len(model.features))
        self.assertEqual(other, guest_record.take(model))

    def test_none_there(self) -> None:
        self.assertIsNone(guest_record.take(None))
        self.assertIsNone(guest_record.take(objects.VirtCPUModel()))
        self.assertIsNone(guest_record.take(vcpu_model()))
        self.assertEqual([], guest_record.cpu_features(None))

    def test_an_instance_without_a_model_gets_one(self) -> None:
        model = guest_record.put(None, self.guest)
        self.assertEqual(self.guest, guest_record.take(model))

    def test_damaged(self) -> None:
        for text in ('', '{', '{"schema":7}', 'x' * 20000):
            model = vcpu_model()
            model.features.append(
                objects.VirtCPUFeature(
                    name='arm_migrate:' + text, policy='optional'
                )
            )
            with self.subTest(text[:20]):
                self.assertRaises(ProfileError, guest_record.take, model)
                self.assertEqual(1, len(guest_record.cpu_features(model)))

    def test_save_stores_the_model_and_nothing_else(self) -> None:
        context = nova_context.RequestContext('user', is_admin=False)
        instance = objects.Instance(
            context=context,
            uuid='3f5a8c1e-6c50-4f5b-9d7e-0f2f6b1f5a01',
            task_state='spawning',
            vcpu_model=guest_record.put(vcpu_model(), self.guest),
        )
        with mock.patch(
            'nova.db.main.api.instance_extra_update_by_uuid', autospec=True
        ) as update:
            guest_record.save(instance)
        update.assert_called_once_with(
            context, instance.uuid, {'vcpu_model': mock.ANY}
        )
        stored = json.loads(update.call_args[0][2]['vcpu_model'])
        self.assertEqual(
            self.guest,
            guest_record.take(objects.VirtCPUModel.obj_from_primitive(stored)),
        )
        self.assertEqual({'uuid', 'task_state'}, instance.obj_what_changed())
