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


"""The scheduler filter: drop hosts that can't take the guest.

In nova.conf of nova-scheduler::

    [filter_scheduler]
    available_filters = nova.scheduler.filters.all_filters
    available_filters = \
        nova_arm_migrate.filters.ArmMigrateFilter
    enabled_filters = ...,ArmMigrateFilter

The driver on the destination makes the final decision: it can run the trial,
and a forced migration bypasses all filters. For each host that can't take the
guest, the filter saves the conductor one call and one failed check. It drops
no host that the destination's trial may still accept.
"""

from collections.abc import Iterable
from typing import Any

from nova import context as nova_context
from nova import objects
from nova.compute import task_states
import nova.conf
from nova.scheduler import filters
from oslo_log import log as logging

from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.nova.precheck import judgement
from nova_arm_migrate.nova.records import instance_state
from nova_arm_migrate.nova.scheduler import filter_events
from nova_arm_migrate.nova.scheduler import host_cache
from nova_arm_migrate.nova.scheduler import offers

CONF = nova.conf.CONF
register_opts(CONF)
LOG = logging.getLogger(__name__)


class ArmMigrateFilter(filters.BaseHostFilter):
    """Drop the hosts that can't take a live-migrating Arm64 KVM guest.

    One object serves all requests, several at a time, so it stores nothing
    about a request.
    """

    # A request does not change the CPU of a host.
    run_filter_once_per_request = True

    RUN_ON_REBUILD = False

    def __init__(self) -> None:
        # Stop the scheduler at its start if an option has a bad value.
        conf.start(CONF)
        self._cache = host_cache.HostCache()

    def host_passes(self, host_state: Any, spec_obj: Any) -> bool:
        """Return whether one host can take the guest."""
        return bool(self.filter_all([host_state], spec_obj))

    def filter_all(
        self, filter_obj_list: Iterable[Any], spec_obj: Any
    ) -> list[Any]:
        """Return the hosts that can take the guest.

        Unless the request may be a live migration to an Arm64 host, returns
        all hosts that offer the baseline of the flavor, if it names one, and
        does not read the database. Hosts for a cold migration, a resize or an
        evacuation are compared with the guest's own baseline. Never raises: a
        request must not fail because of an error in this filter.

        :param filter_obj_list: ``nova.scheduler.host_manager.HostState``
        :param spec_obj: ``nova.objects.RequestSpec``
        """
        states = list(filter_obj_list)
        try:
            if not states or not may_be_live_migration(spec_obj):
                return self._offering(states, spec_obj)
            return self._filter(states, spec_obj)
        except Exception as error:
            LOG.warning(
                'ArmMigrateFilter passes all hosts for server %(server)s'
                ' because it cannot judge them: %(kind)s: %(error)s',
                {
                    'server': spec_obj.instance_uuid,
                    'kind': type(error).__name__,
                    'error': ' '.join(str(error).split())[:200],
                },
            )
            LOG.debug('Traceback of the failure:', exc_info=True)
            return states

    def _filter(self, states: list[Any], spec_obj: Any) -> list[Any]:
        settings = conf.current(CONF)
        if settings.enforcement is Enforcement.OFF:
            return states
        infos = self._cache.read_all(state.cpu_info for state in states)
        if all(info.foreign for info in set(infos)):
            return states
        context = spec_obj._context or nova_context.get_admin_context()
        cell = spec_obj.requested_destination.cell
        with nova_context.target_cell(context.elevated(), cell) as cell_ctxt:
            instance = objects.Instance.get_by_uuid(
                cell_ctxt,
                spec_obj.instance_uuid,
                expected_attrs=['flavor', 'system_metadata', 'vcpu_model'],
            )
            leaving = self._leaving(cell_ctxt, instance, spec_obj)
            if leaving is None:
                return self._offering(states, spec_obj, instance)
            reasons = _reasons(set(infos), leaving, settings)
            if not reasons:
                self._tell_doubts(states, instance)
                return states
            found = filter_events.Dropped.of(
                spec_obj.instance_uuid,
                [state.host for state in states],
                [reasons.get(info) for info in infos],
            )
            if settings.enforcement is Enforcement.WARN:
                LOG.info(
                    '%s (not dropped: [arm_migrate] enforcement is warn)',
                    found.line(),
                )
                return states
            LOG.info('%s', found.line())
            # When a host's own check fails, the conductor sends the request
            # again with one more host to ignore. Add the event only once.
            if len(spec_obj.ignore_hosts) == 1:
                filter_events.record_event(cell_ctxt, found)
        passed = [
            state for state, info in zip(states, infos) if info not in reasons
        ]
        self._tell_doubts(passed, instance)
        return passed

    def _offering(
        self, states: list[Any], spec_obj: Any, instance: Any = None
    ) -> list[Any]:
        """Return the hosts on which a guest can start on its baseline.

        :param instance: the guest, if it is known
        """
        flavor = spec_obj.flavor if 'flavor' in spec_obj else None
        if instance is None and not (flavor and choice.of_flavor(flavor)):
            return states
        infos = self._cache.read_all(state.cpu_info for state in states)
        known = {
            info: offers.why_not(info.host, flavor, instance)
            for info in set(infos)
        }
        told, count = filter_events.group(
            [state.host for state in states],
            [known[info] or None for info in infos],
        )
        if count:
            LOG.info(
                'ArmMigrateFilter: guest CPU baseline of server %(server)s:'
                ' %(count)d of %(asked)d hosts dropped: %(told)s',
                {
                    'server': spec_obj.instance_uuid,
                    'count': count,
                    'asked': len(states),
                    'told': told,
                },
            )
        passed = [
            state for state, info in zip(states, infos) if not known[info]
        ]
        self._tell_doubts(passed, instance)
        for identity in offers.contradictions(
            info.host for info in known if not known[info]
        ):
            LOG.warning(
                'Hosts offer different contents as the guest CPU baseline'
                ' %(identity)s. Server %(server)s may not be able to move'
                ' between them. Give a changed file a new version.',
                {'identity': identity, 'server': spec_obj.instance_uuid},
            )
        return passed

    def _tell_doubts(self, states: list[Any], instance: Any) -> None:
        """Log which hosts may have other contents of a guest's baseline.

        :param states: the hosts that pass
        :param instance: the guest; None if it is new
        """
        baseline = offers.recorded_baseline(instance)
        if baseline is None:
            return
        infos = self._cache.read_all(state.cpu_info for state in states)
        told, count = filter_events.group(
            [state.host for state in states],
            [offers.doubt(info.host, baseline) for info in infos],
        )
        if count:
            LOG.info(
                'ArmMigrateFilter: guest CPU baseline of server %(server)s:'
                ' %(count)d hosts pass and may refuse it: %(told)s',
                {'server': instance.uuid, 'count': count, 'told': told},
            )

    def _leaving(
        self, context: Any, instance: Any, spec_obj: Any
    ) -> judgement.MigratingGuest | None:
        """Return what is known about the guest; None passes all hosts.

        Costs a query for a live migration.

        :param context: of the guest's cell
        :raises Exception: whatever the database raises
        """
        if (
            instance.task_state != task_states.MIGRATING
            or instance.host not in spec_obj.ignore_hosts
            or not _is_arm(instance.image_meta)
        ):
            return None
        node = objects.ComputeNode.get_by_host_and_nodename(
            context, instance.host, instance.node
        )
        source = self._cache.read(node.cpu_info or '')
        recorded = instance_state.recorded(instance)
        if source.foreign or not (
            recorded or isinstance(source.host, Host) or _has_kvm(node)
        ):
            return None
        return judgement.migrating_guest(
            recorded, source.host, instance_state.defined(instance)
        )


def may_be_live_migration(spec_obj: Any) -> bool:
    """Whether a request may be a live migration, without the database.

    The conductor's LiveMigrationTask sets the cell and the hosts to ignore,
    including the source. So does an evacuation, and a resize where
    ``allow_resize_to_same_host`` is off. Only the server's task state
    distinguishes these; nothing in the request does. A boot, a rebuild and an
    unshelve ignore no host.
    """
    if not ('ignore_hosts' in spec_obj and spec_obj.ignore_hosts):
        return False
    destination = (
        'requested_destination' in spec_obj and spec_obj.requested_destination
    )
    return bool(destination and 'cell' in destination and destination.cell)


def _is_arm(image_meta: Any) -> bool:
    """Whether a guest is an Arm64 guest if its host is an Arm64 host.

    Source: ``LibvirtDriver._check_emulation_arch``.
    """
    arch = (
        image_meta.properties.get('hw_emulation_architecture')
        or image_meta.properties.get('hw_architecture')
        or host_cache.AARCH64
    )
    return bool(arch == host_cache.AARCH64)


def _has_kvm(node: Any) -> bool:
    """Whether a compute node without a record can have Arm64 KVM guests."""
    return any(
        spec.arch == host_cache.AARCH64 and spec.hv_type == 'kvm'
        for spec in node.supported_hv_specs or ()
    )


def _reasons(
    infos: set[host_cache.CpuInfo],
    leaving: judgement.MigratingGuest,
    settings: conf.Settings,
) -> dict[host_cache.CpuInfo, str]:
    """Return the reason for each host that is to be dropped, in one line.

    Each distinct record is judged once.
    """
    judged: dict[Host | str, str | None] = {}
    reasons = {}
    for info in infos:
        if info.foreign:
            reasons[info] = f'architecture: guest aarch64, host {info.arch}'
            continue
        if info.host not in judged:
            judged[info.host] = judgement.expected_refusal(
                leaving, info.host, settings
            )
        reason = judged[info.host]
        if reason is not None:
            reasons[info] = reason
    return reasons
