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

"""The options of ``[arm_migrate]``: registered, checked and read here only.

Everything else is given a `Settings`.
"""

from collections.abc import Callable
import dataclasses
import enum
import threading
from typing import Any
import weakref

from oslo_config import cfg
from oslo_config import types
from oslo_log import log as logging

from nova_arm_migrate.core.hazards import check_override
from nova_arm_migrate.core.verdict import Options

LOG = logging.getLogger(__name__)

GROUP = 'arm_migrate'


class Enforcement(enum.StrEnum):
    """What a verdict does."""

    ENFORCE = 'enforce'
    WARN = 'warn'
    OFF = 'off'


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
How live migrations of Arm64 KVM guests are judged. The options
are read by nova-compute with ``compute_driver =
arm_migrate.ArmLibvirtDriver`` and by the scheduler's
``ArmMigrateFilter``, and have no effect on other hosts.
""",
)

enforcement = cfg.StrOpt(
    'enforcement',
    default=Enforcement.ENFORCE.value,
    choices=[
        (
            Enforcement.ENFORCE.value,
            'A live migration that the destination can not take is refused '
            'before anything moves; the server stays ACTIVE.',
        ),
        (
            Enforcement.WARN.value,
            'Every migration goes ahead; what would have been refused is '
            'logged as a warning.',
        ),
        (
            Enforcement.OFF.value,
            "No migration is judged: Nova's own check decides, which on Arm "
            'refuses every one, or none with '
            '``[workarounds] skip_cpu_compare_on_dest``.',
        ),
    ],
    mutable=True,
    help="""
What becomes of a live migration that the destination can not
take.

Host records, traits and guest records are kept whatever is set
here, so that ``off`` can be turned back on at any time.
""",
)

unknown = cfg.StrOpt(
    'unknown',
    default='refuse',
    choices=[
        ('refuse', 'It is refused.'),
        ('allow', 'It goes ahead, with a warning in the log.'),
    ],
    mutable=True,
    help="""
What becomes of a live migration that can not be judged.

A verdict is unknown where a record is missing or can not be read:
the other compute does not run nova-arm-migrate or runs a version
with another record schema, its probe failed, or a value could not
be read there. The log and the server's events say which.

The default refuses, because the two mistakes differ in cost: a
refused migration leaves the server as it was, while one that QEMU
refuses half-way has moved its memory for nothing (and leaves the
server in ERROR if its host runs Nova's own driver), and one that
breaks the guest is noticed by nobody.

For a rolling upgrade, install nova-arm-migrate on all computes
before moving guests: that restarts nova-compute and leaves guests
running, and guests that run already are then judged by their
host's record. Where guests have to move while only some computes
have it, set ``allow`` for that time.

Has no effect if ``enforcement`` is not ``enforce``.
""",
)

trial = cfg.BoolOpt(
    'trial',
    default=True,
    mutable=True,
    help="""
Whether the destination tries the guest's registers on a vCPU of
its own before it accepts a live migration.

It writes them to a vCPU of a virtual machine that is made for
this and never runs, which takes some milliseconds. That is what
QEMU will do when the guest arrives, so what KVM answers is final,
and a difference from the rule is logged. Switch this off only if
nova-compute may not open /dev/kvm; the verdict is then the rule's
alone.

Set it alike on schedulers and computes: while it is on, the
scheduler's filter drops no host that the trial may still accept.
""",
)

silent_hazards = cfg.StrOpt(
    'silent_hazards',
    default='block',
    choices=[
        ('block', 'They are refused like any other incompatibility.'),
        ('warn', 'They are logged and do not count.'),
    ],
    mutable=True,
    help="""
What becomes of a live migration that neither KVM nor QEMU would
refuse, and after which the guest breaks: other SVE vector
lengths, another timer frequency, another cache zeroing block, too
few address bits for its devices, fewer event counters.
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
difference does not count. For an operator who knows better; QEMU
may still refuse the guest half-way. Each time an override takes
effect, a warning says so.

Names are those of the findings in the log and in the server's
events. An unknown name stops nova-compute at its start. An
override of a field does not stand against the trial: if KVM on
the destination refuses the register, name the whole register, or
switch ``trial`` off.
""",
)

pin_sve_lengths = cfg.BoolOpt(
    'pin_sve_lengths',
    default=True,
    mutable=True,
    help="""
Whether a guest that starts here gets the SVE vector lengths of
this host and no others, wherever it is live-migrated later.

Without it, a guest that was migrated to a host with longer
vectors and reboots there by itself uses them from then on. Nova
does not learn of that, and the guest breaks when it is migrated
back.

Longer lengths are switched off in the guest's XML
(``<feature policy='disable' name='sve512'/>``), with
``cpu_mode = host-passthrough``, which is Nova's default on Arm,
and on hosts with SVE only. A guest has this from its next start.
""",
)

numa_layout = cfg.BoolOpt(
    'numa_layout',
    default=True,
    mutable=True,
    help="""
Whether the destination of a live migration works out where a
guest with a NUMA topology goes, tries that out before anything
moves, and compares the guest with it after landing.

Switched off on either side, the guest's XML is left to Nova, and
the log says so. Migrations that fail are put right in any case.
""",
)

fewest_clusters = cfg.BoolOpt(
    'fewest_clusters',
    default=False,
    mutable=True,
    help="""
Whether vCPUs that float over several CPUs of a NUMA node are kept
in as few of the destination's CPU clusters as hold them, one CPU
for each vCPU, when their guest is live-migrated here.

For guests with a NUMA topology only, and never outside Nova's
claim. A vCPU with a dedicated CPU has the one that Nova has
claimed. Nova knows nothing of it: a hard reboot spreads the vCPUs
over the node again. Has no effect where Linux reports no clusters
(/sys/devices/system/cpu/cpu*/topology/cluster_cpus_list), or with
``numa_layout`` switched off.
""",
)

post_copy_recovery = cfg.IntOpt(
    'post_copy_recovery',
    default=600,
    min=0,
    mutable=True,
    help="""
Seconds for which a live migration is continued again and again
after its connection has broken in post-copy.

In post-copy the memory of a guest is on both hosts, and the guest
waits for the rest of it. When the connection is back, libvirt 8.5
and newer can continue. If the time is over before that, the
server is in ERROR, and both domains are left as they are.
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
]


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The options at one moment.

    :ivar enforcement: what a verdict does
    :ivar refuse_unknown: an unknown verdict is a refusal
    :ivar trial: write the guest's registers to a scratch vCPU
    :ivar options: what the comparison takes
    :ivar pin_sve_lengths: guests never get longer vectors than at start
    :ivar numa_layout: work out, try out and prove NUMA layouts
    :ivar fewest_clusters: narrow floating vCPUs to few clusters
    :ivar post_copy_recovery: seconds to continue a broken post-copy
    """

    enforcement: Enforcement = Enforcement.ENFORCE
    refuse_unknown: bool = True
    trial: bool = True
    options: Options = Options()
    pin_sve_lengths: bool = True
    numa_layout: bool = True
    fewest_clusters: bool = False
    post_copy_recovery: int = 600


def register_opts(conf: Any) -> None:
    """Make the options known; doing so twice does nothing."""
    conf.register_group(group)
    conf.register_opts(ALL_OPTIONS, group=group)


def list_opts() -> list[tuple[Any, list[Any]]]:
    """Return the options for oslo-config-generator."""
    return [(group, ALL_OPTIONS)]


def settings(conf: Any) -> Settings:
    """Return what is set now, for a service that starts.

    :raises oslo_config.cfg.ConfigFileValueError: if a value is not allowed
    """
    section = conf[GROUP]
    return Settings(
        enforcement=Enforcement(section.enforcement),
        refuse_unknown=section.unknown == 'refuse',
        trial=section.trial,
        options=Options(
            hazards_block=section.silent_hazards == 'block',
            overrides=frozenset(section.overrides),
        ),
        pin_sve_lengths=section.pin_sve_lengths,
        numa_layout=section.numa_layout,
        fewest_clusters=section.fewest_clusters,
        post_copy_recovery=section.post_copy_recovery,
    )


class _LastGood:
    """The settings that were last read without an error."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._conf: Callable[[], Any] = lambda: None
        self._settings = Settings()
        self._error = ''

    def read(self, conf: Any) -> Settings:
        try:
            now = settings(conf)
        except ValueError as error:
            text = str(error)
            with self._lock:
                if self._conf() is not conf:
                    raise
                told, self._error = self._error == text, text
                last = self._settings
            if not told:
                LOG.error(
                    '[arm_migrate]: %s. The settings of before stay in effect',
                    text,
                )
            return last
        with self._lock:
            self._conf = weakref.ref(conf)
            self._settings, self._error = now, ''
        return now


_last_good = _LastGood()


def current(conf: Any) -> Settings:
    """Return what is set now, for a service that runs.

    oslo.config takes a value on SIGHUP before anyone checks it. A guest is
    not to suffer for a typo: the last settings without one stay in effect,
    and one line at level ERROR names it.

    :raises oslo_config.cfg.ConfigFileValueError: if a value is not allowed,
        and no settings were read before
    """
    return _last_good.read(conf)


def start(conf: Any) -> None:
    """Check the options when a service starts, and each time they change.

    :raises oslo_config.cfg.ConfigFileValueError: if a value is not allowed
    """
    settings(conf)
    current(conf)
    conf.register_mutate_hook(_changed)


def _changed(conf: Any, _fresh: Any) -> None:
    current(conf)
