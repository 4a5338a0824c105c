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


"""Whether the destination of a cold migration offers a guest's baseline."""

from typing import Any
from typing import NamedTuple

from nova import objects
from oslo_log import log as logging

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.records import instance_state

LOG = logging.getLogger(__name__)


class Refusal(NamedTuple):
    """Why a guest can't start on the destination of its migration.

    :ivar name: of the baseline that it is to have there
    :ivar reason: one line
    """

    name: str
    reason: str


def refusal(context: Any, instance: Any, flavor: Any) -> Refusal | None:
    """Return why the guest can't start on the destination of its migration.

    Asks the database for the destination's record, which has the option
    ``baseline`` of that host. Never raises: what is not known here, the
    destination decides.

    :param instance: with the context of its migration
    :param flavor: that the guest gets
    :returns: None if it can, or that is not known
    """
    try:
        migration = objects.Migration.get_by_id(
            context, instance.migration_context.migration_id
        )
        node = objects.ComputeNode.get_by_host_and_nodename(
            context, migration.dest_compute, migration.dest_node
        )
    except Exception as error:
        LOG.debug(
            'The destination of a migration is not known: %s',
            error,
            instance=instance,
        )
        return None
    host = instance_state.host_record(node.cpu_info)
    offered, default = frozenset[str](), ''
    if isinstance(host, Host):
        offered, default = host.baselines, host.baseline_default or ''
    name = choice.wanted(instance, default, flavor)
    if not name or name in versions.current(offered):
        return None
    return Refusal(
        name,
        f'{migration.dest_compute} does not offer it: see the log of'
        ' nova-compute there',
    )
