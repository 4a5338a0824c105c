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

from typing import Any
from unittest import mock

from nova import exception
from nova import objects
import testtools

from nova_arm_migrate.nova.rollback.volumes import Volumes

CONTEXT = mock.Mock()
HERE, THERE = 'attachment-here', 'attachment-there'


def mapping(volume: str, attachment: str) -> mock.Mock:
    return mock.Mock(
        volume_id=volume,
        attachment_id=attachment,
        connection_info=f'connection of {attachment}',
        is_volume=True,
    )


class TestVolumes(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.now = mapping('v', THERE)
        patcher = mock.patch.object(
            objects.BlockDeviceMappingList,
            'get_by_instance_uuid',
            lambda context, uuid: [self.now],
        )
        patcher.start()
        self.addCleanup(patcher.stop)
        self.manager = mock.Mock(host='here')
        self.cinder = self.manager.volume_api
        self.volumes = Volumes(
            self.manager,
            CONTEXT,
            mock.Mock(),
            'dest',
            {'v': mapping('v', HERE)},
        )

    def gone(self) -> Any:
        return exception.VolumeAttachmentNotFound(attachment_id='x')

    def test_back_the_attachment_of_the_destination_goes(self) -> None:
        self.assertEqual([], list(self.volumes.back()))
        self.assertEqual(HERE, self.now.attachment_id)
        self.assertEqual(f'connection of {HERE}', self.now.connection_info)
        self.now.save.assert_called_once_with()
        self.cinder.attachment_delete.assert_called_once_with(CONTEXT, THERE)
        disconnect = self.manager._remove_remote_volume_connections
        self.assertEqual('dest', disconnect.call_args.args[1])

    def test_back_where_nothing_is_wrong(self) -> None:
        self.now = mapping('v', HERE)
        self.assertEqual([], list(self.volumes.back()))
        self.now.save.assert_not_called()
        self.cinder.attachment_delete.assert_not_called()

    def test_an_attachment_that_stays_is_named(self) -> None:
        self.cinder.attachment_delete.side_effect = OSError('away')
        (problem,) = self.volumes.back()
        for word in ('v', THERE, 'dest', 'away'):
            self.assertIn(word, problem.text)

    def test_there_the_attachment_of_this_host_goes(self) -> None:
        self.assertEqual([], list(self.volumes.there()))
        self.cinder.attachment_delete.assert_called_once_with(CONTEXT, HERE)

    def test_there_where_it_is_gone_already(self) -> None:
        self.cinder.attachment_get.side_effect = self.gone()
        self.assertEqual([], list(self.volumes.there()))
        self.cinder.attachment_delete.assert_not_called()
        self.cinder.attachment_get.side_effect = None
        self.cinder.attachment_delete.side_effect = self.gone()
        self.assertEqual([], list(self.volumes.there()))
