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

"""The options of ``[arm_migrate]``: checked and read here only.

Everything else is given a `Settings`. ``options`` declares them.
"""

from collections.abc import Callable
import dataclasses
import threading
from typing import Any
import weakref

from oslo_log import log as logging

from nova_arm_migrate.core.verdict import Options
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import GROUP
from nova_arm_migrate.nova.options import WEIGHT

LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, slots=True)
class Settings:
    """The options at one moment.

    :ivar enforcement: what a verdict does
    :ivar refuse_unknown: an unknown verdict is a refusal
    :ivar trial: write the guest's registers to a scratch vCPU
    :ivar options: what the comparison takes
    :ivar pin_sve_lengths: guests never get longer vectors than at start
    :ivar numa_layout: compute, dry-run and verify NUMA layouts
    :ivar fewest_clusters: narrow floating vCPUs to few clusters
    :ivar post_copy_recovery: seconds to continue a broken post-copy
    :ivar baseline_directory: the files of guest CPU baselines
    :ivar baseline: that of guests who name none; empty for none
    :ivar baseline_shim: the library; empty if it is not allowed
    :ivar metrics_port: of the endpoint; 0 for none
    :ivar metrics_address: of the endpoint
    """

    enforcement: Enforcement = Enforcement.ENFORCE
    refuse_unknown: bool = True
    trial: bool = True
    options: Options = Options()
    pin_sve_lengths: bool = True
    numa_layout: bool = True
    fewest_clusters: bool = False
    post_copy_recovery: int = 600
    baseline_directory: str = '/etc/nova/arm-baselines'
    baseline: str = ''
    baseline_shim: str = ''
    metrics_port: int = 0
    metrics_address: str = '127.0.0.1'


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
        baseline_directory=section.baseline_directory,
        baseline=section.baseline,
        baseline_shim=section.baseline_shim,
        metrics_port=section.metrics_port,
        metrics_address=section.metrics_address,
    )


def weight(conf: Any) -> float:
    """Return the weigher's multiplier.

    It is not in `Settings`: a request reads it once for each host.
    """
    return float(conf[GROUP][WEIGHT])


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
