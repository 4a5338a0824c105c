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

"""The options of ``[arm_migrate]``, declared.

``conf`` reads and checks them.
"""

import enum
from typing import Any

from oslo_config import cfg
from oslo_config import types

from nova_arm_migrate.core.checks import check_override

GROUP = 'arm_migrate'
#: Also the name in the metadata of aggregates.
WEIGHT = 'arm_migratability_weight_multiplier'


class Enforcement(str, enum.Enum):
    """What a verdict does."""

    ENFORCE = 'enforce'
    WARN = 'warn'
    OFF = 'off'

    # As enum.StrEnum, which Python 3.10 does not have.
    __str__ = str.__str__


class FieldName(types.ConfigType):
    """An option value that names a register, a field or a hazard.

    Checked where it is read, so that a misspelt override stops the service
    with a clear text instead of never taking effect.
    """

    def __init__(self) -> None:
        super().__init__(type_name='REGISTER[.FIELD]')

    def __call__(self, value: str) -> str:
        """Return the name. :raises ValueError: if there is no such name."""
        return check_override(str(value).strip())

    def __repr__(self) -> str:
        return 'FieldName'

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FieldName)

    __hash__ = types.ConfigType.__hash__

    def _formatter(self, value: str) -> str:
        return value


group = cfg.OptGroup(
    GROUP,
    title='Live migration of Arm64 guests',
    help="""
How live migrations of Arm64 KVM guests are judged and carried
out. nova-compute with ``compute_driver =
arm_migrate.ArmLibvirtDriver`` and the scheduler's
``ArmMigrateFilter`` read these options. They have no effect on
other hosts.
""",
)

enforcement = cfg.StrOpt(
    'enforcement',
    default=Enforcement.ENFORCE.value,
    choices=[
        (
            Enforcement.ENFORCE.value,
            'If the destination cannot run the guest, the live migration is '
            'refused before anything moves. The server stays ACTIVE.',
        ),
        (
            Enforcement.WARN.value,
            'No migration is refused. A warning in the log says which ones '
            'would have been.',
        ),
        (
            Enforcement.OFF.value,
            "No migration is judged. Nova's own check decides: on Arm it "
            'refuses every migration, or none with '
            '``[workarounds] skip_cpu_compare_on_dest``.',
        ),
    ],
    mutable=True,
    help="""
What happens to a live migration if the destination cannot run the
guest.

Host records, traits and the records of guests that start are
written whatever is set here. You can therefore change from
``off`` to another value at any time.
""",
)

unknown = cfg.StrOpt(
    'unknown',
    default='refuse',
    choices=[
        ('refuse', 'The migration is refused.'),
        ('allow', 'The migration proceeds, with a warning in the log.'),
    ],
    mutable=True,
    help="""
What happens to a live migration if the verdict is unknown.

The verdict is unknown if a record is missing or cannot be read:
the other compute does not run nova-arm-migrate or runs a version
with another record schema, its probe failed, or a value could not
be read there. It is also unknown if the records cannot decide.
The log and the server's events give the reason.

The default is to refuse, because the alternatives cost more. A
refused migration leaves the server as it was. A migration that
QEMU refuses halfway has copied the memory for nothing, and leaves
the server in ERROR if its host runs Nova's own driver. A
migration that breaks the guest reports success.

For a rolling upgrade, install nova-arm-migrate on all computes
before you move guests. This restarts nova-compute and leaves
guests running. Guests that already run are then judged by their
host's record. If guests must move while only some computes have
it, set ``allow`` for that time.

Has no effect if ``enforcement`` is not ``enforce``.
""",
)

trial = cfg.BoolOpt(
    'trial',
    default=True,
    mutable=True,
    help="""
Whether the destination makes a trial before it accepts a live
migration.

In a trial, it writes the guest's registers to a scratch vCPU: a
vCPU of a virtual machine that is created for this and never runs.
This takes some milliseconds. QEMU does the same when the guest
arrives, so KVM's answer is final, and a difference from the rule
is logged. Switch this off only if nova-compute may not open
/dev/kvm. The rule alone then decides.

Set the same value on schedulers and computes. While it is on, the
scheduler's filter drops no host that the trial may still accept.
""",
)

silent_hazards = cfg.StrOpt(
    'silent_hazards',
    default='block',
    choices=[
        ('block', 'The migration is refused.'),
        ('warn', 'The hazards are logged, and the migration is not refused.'),
    ],
    mutable=True,
    help="""
What happens to a live migration if neither KVM nor QEMU would
refuse it, but the guest would break after it: other SVE vector
lengths, SVE registers that QEMU does not migrate completely,
another timer frequency, another cache zeroing block, too few
address bits for the guest's devices, fewer event counters.
""",
)

overrides = cfg.ListOpt(
    'overrides',
    default=[],
    item_type=FieldName(),
    sample_default=['CTR_EL0.DIC', 'PAGE_SIZE'],
    mutable=True,
    help="""
Registers, fields (``REGISTER.FIELD``) and hazards in which a
difference does not count. Use it if you know that a difference
does no harm. QEMU may still refuse the guest halfway. A warning
is logged each time an override takes effect.

Use the names in the findings, in the log and in the server's
events. An unknown name stops nova-compute and nova-scheduler when
they start. The trial can still refuse a register of which only a
field is overridden. To override the trial as well, name the whole
register, or switch ``trial`` off.
""",
)

pin_sve_lengths = cfg.BoolOpt(
    'pin_sve_lengths',
    default=True,
    mutable=True,
    help="""
Whether a guest that starts here keeps the SVE vector lengths of
this host, on every host that it is live-migrated to later.

Without this option, a guest that was migrated to a host with
longer vectors uses them after a reboot from inside the guest.
Nova does not learn of that, and the guest breaks when it is
migrated back.

The option switches longer lengths off in the guest's XML
(``<feature policy='disable' name='sve512'/>``). It has an effect
only on hosts with SVE, and with ``cpu_mode = host-passthrough``,
which is Nova's default on Arm. It applies to a guest from the
guest's next start.
""",
)

numa_layout = cfg.BoolOpt(
    'numa_layout',
    default=True,
    mutable=True,
    help="""
Whether the driver handles the NUMA layout of a guest with a NUMA
topology. The destination of a live migration then takes the
layout from Nova's claim, checks it in a dry run before anything
moves, and compares the guest with it after arrival.

If this is off on either side, the guest's XML is left to Nova,
and the log says so. Failed migrations are handled in any case.
""",
)

fewest_clusters = cfg.BoolOpt(
    'fewest_clusters',
    default=False,
    mutable=True,
    help="""
Whether a guest that is live-migrated here gets few CPU clusters.
This is for vCPUs that float over several CPUs of a NUMA node. They
are kept in the fewest clusters that have one CPU for each of them.

This applies only to guests with a NUMA topology, and never uses
CPUs outside Nova's claim. A vCPU with a dedicated CPU keeps the
one that Nova has claimed. Nova does not know of this option: a
hard reboot spreads the vCPUs over the node again. The option has
no effect if Linux reports no clusters
(/sys/devices/system/cpu/cpu*/topology/cluster_cpus_list), or if
``numa_layout`` is off.
""",
)

post_copy_recovery = cfg.IntOpt(
    'post_copy_recovery',
    default=600,
    min=0,
    mutable=True,
    help="""
How many seconds the driver tries to continue a live migration
after its connection has broken in post-copy.

In post-copy, the memory of a guest is on both hosts, and the
guest waits for the part that is missing. When the connection
works again, libvirt 8.5 and newer can continue the migration. If
it does not work again in this time, the server is in ERROR, and
both domains are left as they are.
""",
)

baseline_directory = cfg.StrOpt(
    'baseline_directory',
    default='/etc/nova/arm-baselines',
    help="""
The directory with the guest CPU baselines of this host. Each is a
file ``NAME.json`` that ``nova-arm-migrate baseline`` has made.

nova-compute reads the files when it starts. For a baseline that
this host cannot offer, one line in the log names the field or the
file. No guest with that baseline starts here or moves here. Other
guests are not affected.
""",
)

baseline = cfg.StrOpt(
    'baseline',
    default='',
    mutable=True,
    help="""
The name of the default baseline. It is for guests whose flavor
(``hw:arm_baseline``) and image (``hw_arm_baseline``) name none.
Empty: such a guest has the CPU of the host on which it starts.

Set the same value on all computes of a pool. It applies to a
guest from the guest's next start.
""",
)

baseline_shim = cfg.StrOpt(
    'baseline_shim',
    default='',
    help="""
The path of the library that gives guests the registers of a
baseline on released QEMU (``make shim``). Empty: it is not used.
This host then offers only the baselines that need no more than
libvirt's CPU features.

The library is experimental. libvirt marks guests that start with
it as tainted (``custom-argv``).
""",
)

metrics_port = cfg.PortOpt(
    'metrics_port',
    default=0,
    help="""
The port on which nova-compute serves its metrics to Prometheus, over
HTTP. 0: it counts nothing and opens no port. It needs
``prometheus-client`` (``pip install nova-arm-migrate[metrics]``).
""",
)

metrics_address = cfg.IPOpt(
    'metrics_address',
    default='127.0.0.1',
    help="""
The IP address on which nova-compute serves its metrics.

Whoever reaches it can read them: there is neither a password nor
encryption. They name no server and no project. Use an address of a
network that only Prometheus reaches, or a proxy.
""",
)

weight_multiplier = cfg.FloatOpt(
    WEIGHT,
    default=1.0,
    mutable=True,
    help="""
How much ``ArmMigratabilityWeigher`` counts beside Nova's own
weighers. A positive value prefers hosts from which a new guest can
later move to the most others, a negative one avoids them, and 0
makes no difference. Metadata of an aggregate with the same name
takes precedence. Has no effect unless ``[filter_scheduler]
weight_classes`` has
``nova_arm_migrate.weighers.ArmMigratabilityWeigher``.
""",
)

ALL_OPTIONS = [
    enforcement,
    unknown,
    trial,
    silent_hazards,
    overrides,
    pin_sve_lengths,
    numa_layout,
    fewest_clusters,
    post_copy_recovery,
    baseline_directory,
    baseline,
    baseline_shim,
    metrics_port,
    metrics_address,
    weight_multiplier,
]


def register_opts(conf: Any) -> None:
    """Make the options known; doing so twice does nothing."""
    conf.register_group(group)
    conf.register_opts(ALL_OPTIONS, group=group)


def list_opts() -> list[tuple[Any, list[Any]]]:
    """Return the options for oslo-config-generator."""
    return [(group, ALL_OPTIONS)]
