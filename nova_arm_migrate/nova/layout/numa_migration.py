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


"""NUMA layouts of live-migrating guests: the work of the driver's overrides.

The destination takes the layout from Nova's claim, does a dry run before the
migration, sends the layout to the source, and compares the guest with it
after the migration. The source rewrites the guest's XML for the layout. Nova
alone decides where guests are placed.
"""

from collections.abc import Iterator
import contextlib
from typing import Any
import uuid

from nova import exception
import nova.conf
from oslo_log import log as logging
from oslo_utils import timeutils
from oslo_utils import units

from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import events
from nova_arm_migrate.nova.layout import channel
from nova_arm_migrate.nova.layout import claim_layout
from nova_arm_migrate.nova.layout import dry_run
from nova_arm_migrate.nova.layout import guest_with_layout
from nova_arm_migrate.nova.layout import numa_host
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.numa import clusters
from nova_arm_migrate.numa import hostcheck
from nova_arm_migrate.numa import parse
from nova_arm_migrate.numa import proof
from nova_arm_migrate.numa import wire
from nova_arm_migrate.numa.errors import NumaError
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.regenerate import regenerated

CONF = nova.conf.CONF
register_opts(CONF)
LOG = logging.getLogger(__name__)


class NumaMigration:
    """The layouts of guests that migrate to or from one compute.

    :param driver: LibvirtDriver of this compute
    """

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._schema = dry_run.Schema()

    def _wanted(self, instance: Any) -> bool:
        """Whether layouts are switched on here; if not, log it."""
        if conf.current(CONF).numa_layout:
            return True
        if instance.numa_topology is not None:
            LOG.info(
                '[arm_migrate] numa_layout is off: Nova alone rewrites the'
                " guest's XML",
                instance=instance,
            )
        return False

    def _claimed_layout(
        self, instance: Any, topology: Any, flavor: Any, image_meta: Any
    ) -> Layout:
        """Return the claimed layout, changed as this host's options say.

        The result for one guest is always the same, because the dry run, the
        message to the source and the comparison each compute it anew.
        """
        layout = claim_layout.claimed_layout(
            self._driver, topology, flavor, image_meta
        )
        if conf.current(CONF).fewest_clusters:
            layout = clusters.narrowed(
                layout, numa_host.clusters(), uuid.UUID(instance.uuid).int
            )
        return layout

    # On the destination, before anything moves

    def ask(self, instance: Any, migrate_data: Any) -> None:
        """Ask the source for the XML of a guest that has a topology."""
        if instance.numa_topology is not None and self._wanted(instance):
            channel.put(migrate_data, channel.ASK, str(wire.VERSION))

    @contextlib.contextmanager
    def claimed(self, claim: Any) -> Iterator[None]:
        """Release the claim if a later step fails.

        If the destination's driver raises after the claim, Nova itself keeps
        the claim until the next audit, for a guest that never arrives.

        :raises nova.exception.MigrationPreCheckError: for any failure, so
            that the conductor tries the next host
        """
        try:
            yield
        except Exception as error:
            claim.abort()
            if isinstance(error, exception.MigrationPreCheckError):
                raise
            raise exception.MigrationPreCheckError(
                reason=f'numa: {error}'
            ) from error

    def dry_run(self, instance: Any, migrate_data: Any, claim: Any) -> None:
        """Do the dry run: check that the guest could run here as claimed.

        :raises NumaError: names the element that is not possible here
        """
        packed = channel.take(migrate_data, channel.DOMAIN)
        if not self._wanted(instance):
            return
        if packed is None:
            LOG.info(
                'The source does not send NUMA layouts of'
                " nova-arm-migrate: Nova alone rewrites the guest's XML",
                instance=instance,
            )
            return
        watch = timeutils.StopWatch()
        watch.start()
        layout = self._claimed_layout(
            instance,
            claim.claimed_numa_topology,
            claim.flavor,
            claim.image_meta,
        )
        original = parse.parse_domain(channel.unpack(packed))
        domain = regenerated(original, layout)
        # The CPUs may be powered down until pre_live_migration.
        host = numa_host.host_numa(
            self._driver._host,
            instance.uuid,
            claim_layout.dedicated_cpus(claim.claimed_numa_topology),
            online=not CONF.libvirt.cpu_power_management,
        )
        self._raise_faults(
            instance,
            [
                *hostcheck.faults(
                    layout, host, hostcheck.cell_memory_kib(domain)
                ),
                self._schema.fault(domain, original),
                dry_run.native_fault(
                    self._driver._host.get_connection(), domain
                ),
            ],
        )
        LOG.info(
            'NUMA layout: dry run took %.3f s',
            watch.elapsed(),
            instance=instance,
        )

    def send(self, instance: Any, migrate_data: Any) -> None:
        """Send the layout when this host is ready.

        :raises nova.exception.MigrationPreCheckError: if the host has
            changed since the dry run
        """
        if not self._wanted(instance):
            return
        try:
            layout = self._layout(instance)
            if layout is None:
                return
            topology = instance.migration_context.new_numa_topology
            host = numa_host.host_numa(
                self._driver._host,
                instance.uuid,
                claim_layout.dedicated_cpus(topology),
            )
            self._raise_faults(
                instance,
                list(
                    hostcheck.faults(
                        layout,
                        host,
                        {
                            number: cell.memory * units.Ki
                            for number, cell in enumerate(topology.cells)
                        },
                    )
                ),
            )
            channel.put(migrate_data, channel.LAYOUT, wire.dump(layout))
        except NumaError as error:
            # For any other exception the server's event has only its name.
            raise exception.MigrationPreCheckError(
                reason=f'numa: {error}'
            ) from error

    def _layout(self, instance: Any) -> Layout | None:
        """Return the layout of a guest that migrates here, or None."""
        moving = instance.migration_context
        topology = moving.new_numa_topology if moving is not None else None
        if topology is None:
            return None
        return self._claimed_layout(
            instance, topology, instance.flavor, instance.image_meta
        )

    def _raise_faults(
        self, instance: Any, found: list[hostcheck.Fault | None]
    ) -> None:
        faults = [fault for fault in found if fault is not None]
        if not faults:
            return
        for fault in faults:
            LOG.warning('NUMA layout: %s', fault, instance=instance)
        more = f' (+{len(faults) - 1} more)' if len(faults) > 1 else ''
        raise NumaError(
            faults[0].path, f'{CONF.host}: {faults[0].sentence}{more}'
        )

    # On the source

    def answer(self, instance: Any, migrate_data: Any) -> None:
        """Send the guest's XML to a destination that has asked for it."""
        asked = channel.take(migrate_data, channel.ASK)
        if instance.numa_topology is None or not self._wanted(instance):
            return
        if asked is None:
            LOG.info(
                'The destination does not ask for NUMA layouts of'
                " nova-arm-migrate: Nova alone rewrites the guest's XML",
                instance=instance,
            )
            return
        guest = self._driver._host.get_guest(instance)
        domain = parse.parse_domain(guest.get_xml_desc(dump_migratable=True))
        for graphics in domain.iterfind('devices/graphics[@passwd]'):
            graphics.attrib.pop('passwd')
        channel.put(
            migrate_data, channel.DOMAIN, channel.pack(parse.text_of(domain))
        )

    def leaving(self, instance: Any, migrate_data: Any, guest: Any) -> Any:
        """Return the guest, with its XML for the layout if there is one.

        :raises LayoutError: if the destination's layout is damaged
        """
        text = channel.take(migrate_data, channel.LAYOUT)
        if not self._wanted(instance):
            return guest
        if text is None:
            if instance.numa_topology is not None:
                LOG.info(
                    'The destination has sent no layout: Nova alone'
                    " rewrites the guest's XML",
                    instance=instance,
                )
            return guest
        return guest_with_layout.GuestWithLayout(guest, wire.load(text))

    # On the destination, after the migration

    def post_migration(self, context: Any, instance: Any) -> None:
        """Compare a guest that runs here with its layout; never raises."""
        try:
            if not self._wanted(instance):
                return
            watch = timeutils.StopWatch()
            watch.start()
            layout = self._layout(instance)
            if layout is not None:
                self._compare(context, instance, layout)
                LOG.info(
                    'NUMA layout: comparison took %.3f s',
                    watch.elapsed(),
                    instance=instance,
                )
        except Exception:
            # The guest runs here, and no error may make it fail.
            LOG.exception(
                'Cannot compare the NUMA layout of the guest after its'
                ' migration',
                instance=instance,
            )

    def _compare(self, context: Any, instance: Any, layout: Layout) -> None:
        guest = self._driver._host.get_guest(instance)
        found = self._differences(guest, instance, layout)
        for difference in found:
            if difference.part in proof.PINS:
                repair(guest._domain, difference)
        left = self._differences(guest, instance, layout) if found else []
        repaired = [str(one) for one in found if one not in left]
        texts = [str(one) for one in left] + [
            str(fault)
            for fault in hostcheck.shared_cores(
                layout,
                numa_host.held_cpus(
                    self._driver._host,
                    instance.uuid,
                    claim_layout.dedicated_cpus(
                        instance.migration_context.new_numa_topology
                    ),
                ),
            )
        ]
        log = LOG.warning if texts or repaired else LOG.info
        log(
            'NUMA layout after migration: %(state)s; repaired: %(repaired)s',
            {
                'state': '; '.join(texts) or 'as claimed',
                'repaired': '; '.join(repaired) or 'nothing',
            },
            instance=instance,
        )
        if texts:
            events.failed(context, instance, 'numa_layout', '; '.join(texts))

    def _differences(
        self, guest: Any, instance: Any, layout: Layout
    ) -> list[proof.Difference]:
        reports = numa_host.live(guest.get_xml_desc(), instance.uuid)
        return [
            difference
            for live in reports
            for difference in proof.differences(layout, live)
        ]


def repair(domain: Any, difference: proof.Difference) -> None:
    """Correct a wrong pin; log it if that fails.

    :param domain: libvirt's, running
    """
    cpus = tuple(
        number in difference.wanted
        for number in range(max(difference.wanted) + 1)
    )
    try:
        # Flags 0 means the running domain.
        if difference.part is proof.Part.VCPU:
            domain.pinVcpuFlags(difference.number, cpus, 0)
        elif difference.part is proof.Part.IOTHREAD:
            domain.pinIOThread(difference.number, cpus, 0)
        else:
            domain.pinEmulator(cpus, 0)
    except numa_host.libvirt_error() as error:
        LOG.warning(
            'Cannot repair %(difference)s: %(error)s',
            {'difference': difference, 'error': error},
        )
