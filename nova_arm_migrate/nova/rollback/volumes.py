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

"""A guest's volumes after a live migration."""

from collections.abc import Iterator
from collections.abc import Mapping
from typing import Any

from nova import exception
from nova import objects
from oslo_log import log as logging

from nova_arm_migrate.nova.rollback.problem import Problem

LOG = logging.getLogger(__name__)


class Volumes:
    """The volume attachments of one guest, in Nova and in Cinder.

    :param manager: ``nova.compute.manager.ComputeManager`` of the source
    :param dest: name of the destination
    :param before: volume to block device mapping, from before the migration
    """

    def __init__(
        self,
        manager: Any,
        context: Any,
        instance: Any,
        dest: str,
        before: Mapping[str, Any],
    ) -> None:
        self._manager = manager
        self._context = context
        self._instance = instance
        self._dest = dest
        self._before = before

    def back(self) -> Iterator[Problem]:
        """Leave each volume only the attachment of this host."""
        wrong = []
        for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(
            self._context, self._instance.uuid
        ):
            before = self._before.get(bdm.volume_id)
            if (
                bdm.is_volume
                and before is not None
                and (
                    bdm.attachment_id != before.attachment_id
                    or bdm.connection_info != before.connection_info
                )
            ):
                wrong.append((bdm, before))
        if wrong:
            self._manager._remove_remote_volume_connections(
                self._context,
                self._dest,
                [bdm for bdm, _ in wrong],
                self._instance,
            )
        for bdm, before in wrong:
            stray = bdm.attachment_id
            bdm.attachment_id = before.attachment_id
            bdm.connection_info = before.connection_info
            # Save first, so that Nova uses the right attachment from now on.
            bdm.save()
            if stray and stray != before.attachment_id:
                yield from self._delete_attachment(
                    bdm.volume_id, stray, self._dest
                )

    def there(self) -> Iterator[Problem]:
        """Delete all volume attachments of this host."""
        for bdm in objects.BlockDeviceMappingList.get_by_instance_uuid(
            self._context, self._instance.uuid
        ):
            before = self._before.get(bdm.volume_id)
            if (
                before is None
                or not before.attachment_id
                or (bdm.attachment_id == before.attachment_id)
            ):
                continue
            try:
                self._manager.volume_api.attachment_get(
                    self._context, before.attachment_id
                )
            except exception.VolumeAttachmentNotFound:
                continue
            except Exception as error:
                LOG.warning(
                    'Cannot read a volume attachment: %s',
                    error,
                    instance=self._instance,
                )
            yield from self._delete_attachment(
                bdm.volume_id, before.attachment_id, self._manager.host
            )

    def _delete_attachment(
        self, volume: str, attachment: str, host: str
    ) -> Iterator[Problem]:
        try:
            self._manager.volume_api.attachment_delete(
                self._context, attachment
            )
        except exception.VolumeAttachmentNotFound:
            return
        except Exception as error:
            yield Problem(
                'volumes',
                f'Volume {volume} still has the attachment'
                f' {attachment} of {host}. Delete it with openstack volume'
                f' attachment delete ({error})',
            )
