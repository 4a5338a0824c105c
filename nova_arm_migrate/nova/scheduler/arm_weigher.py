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

r"""The scheduler's weigher: start guests where they can leave again.

In nova.conf of nova-scheduler::

    [filter_scheduler]
    weight_classes = nova.scheduler.weights.all_weighers,\
        nova_arm_migrate.weighers.ArmMigratabilityWeigher

A guest keeps the CPU of the host on which it starts. On a mixed fleet a guest
that starts on an old host can move to most others, and one that starts on the
newest to few.
"""

from collections.abc import Sequence
from typing import Any

import nova.conf
from nova.scheduler import utils
from nova.scheduler import weights
from oslo_log import log as logging

from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.nova.options import WEIGHT
from nova_arm_migrate.nova.scheduler import arm_filter
from nova_arm_migrate.nova.scheduler import host_cache
from nova_arm_migrate.nova.scheduler import reach

CONF = nova.conf.CONF
register_opts(CONF)
LOG = logging.getLogger(__name__)


class ArmMigratabilityWeigher(weights.BaseHostWeigher):
    """Prefer hosts from which a new guest can move to the most others.

    One object serves all requests, several at a time, so it stores nothing
    about a request.
    """

    def __init__(self) -> None:
        # Stop the scheduler at its start if an option has a bad value.
        conf.start(CONF)
        self._cache = host_cache.HostCache()
        self._reach = reach.Reach()

    def weight_multiplier(self, host_state: Any) -> float:
        """Return the multiplier of a host: its aggregate's, or the option.

        :param host_state: ``nova.scheduler.host_manager.HostState``
        """
        multiplier: float = utils.get_weight_multiplier(
            host_state, WEIGHT, conf.weight(CONF)
        )
        return multiplier

    def _weigh_object(self, host_state: Any, weight_properties: Any) -> float:
        """Return the weight of the only host."""
        return 0.0

    def weigh_objects(
        self, weighed_obj_list: Sequence[Any], weight_properties: Any
    ) -> list[float]:
        """Return the weights of all hosts. They depend on one another.

        All weights are 0 in three cases: the guest runs already, so it has the
        CPU of another host; its flavor names a baseline, so it gets the same
        CPU on each of these hosts; or a host has another architecture, and
        the guest's architecture is not known here. Never raises: a request
        must not fail because of an error in this weigher.

        :param weighed_obj_list: ``nova.scheduler.weights.WeighedHost``
        :param weight_properties: ``nova.objects.RequestSpec``
        """
        equal = [
            self._weigh_object(one.obj, weight_properties)
            for one in weighed_obj_list
        ]
        try:
            settings = conf.current(CONF)
            if (
                settings.enforcement is Enforcement.OFF
                or arm_filter.may_be_live_migration(weight_properties)
                or _on_baseline(weight_properties)
            ):
                return equal
            infos = self._cache.read_all(
                one.obj.cpu_info for one in weighed_obj_list
            )
            if any(info.foreign for info in set(infos)):
                return equal
            return [
                float(number)
                for number in self._reach.of(
                    infos, settings.options, trial=settings.trial
                )
            ]
        except Exception as error:
            LOG.warning(
                'ArmMigratabilityWeigher weighs all hosts equally for server'
                ' %(server)s: %(kind)s: %(error)s',
                {
                    'server': weight_properties.instance_uuid,
                    'kind': type(error).__name__,
                    'error': ' '.join(str(error).split())[:200],
                },
            )
            LOG.debug('Traceback of the failure:', exc_info=True)
            return equal


def _on_baseline(spec_obj: Any) -> bool:
    """Whether a guest gets a baseline, as far as a request says."""
    flavor = spec_obj.flavor if 'flavor' in spec_obj else None
    name = choice.of_flavor(flavor) if flavor else ''
    return bool(name and name != choice.NONE)
