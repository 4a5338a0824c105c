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


"""probe: the cost of a probe without the ioctls.

The kernel is the simulated one of the unit tests, which replays a recorded
host; its time is subtracted. The host has 80 CPUs, whose identification files
are read from a real file system. The versions of QEMU and libvirt are passed
in, as the driver does.
"""

from collections.abc import Callable
import dataclasses
import fcntl
import os
import pathlib
import sys
import tempfile
import time
from typing import Any

import pyperf

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.probe import user_registers
from nova_arm_migrate.probe.host import LocalHost
from tests.unit.probe.fake_kvm import FakeKernel
from tests.unit.probe.fake_kvm import write_tree

PROFILES = (
    pathlib.Path(__file__).resolve().parents[1]
    / 'tests'
    / 'fixtures'
    / 'profiles'
)
CPUS = 80


class TimedKernel(FakeKernel):
    """Counts the seconds spent in it."""

    spent = 0.0

    def ioctl(self, *arguments: Any) -> Any:
        start = time.thread_time()
        try:
            return super().ioctl(*arguments)
        finally:
            self.spent += time.thread_time() - start


def measure(
    loops: int, ask: Callable[[], object], kernel: TimedKernel
) -> float:
    """Return the seconds of so many calls, without the kernel's time."""
    kernel.calls.clear()
    before = kernel.spent
    start = time.thread_time()
    for _ in range(loops):
        ask()
    return time.thread_time() - start - (kernel.spent - before)


def main() -> None:
    runner = pyperf.Runner()
    for name in ('max-linux-7.2', 'neoverse-n1-linux-6.1'):
        host = load_host((PROFILES / f'{name}.json').read_text().strip())
        host = dataclasses.replace(
            host,
            cores=(dataclasses.replace(host.cores[0], cpus=f'0-{CPUS - 1}'),),
        )
        kernel = TimedKernel(host)
        fcntl.ioctl = kernel.ioctl
        known = {
            user_registers.CNTFRQ_EL0: host.cntfrq or 0,
            user_registers.DCZID_EL0: host.dczid or 0,
        }
        user_registers.read = lambda instruction: known[instruction]
        guest = guest_started_on(host)
        with tempfile.TemporaryDirectory() as root:
            write_tree(root, host)
            probe = LocalHost(
                qemu=host.qemu,
                libvirt=host.libvirt,
                root=root,
                device=os.devnull,
                machine='aarch64',
            )
            assert probe.host().values == host.values
            for title, ask in (
                ('host', probe.host),
                ('guest view', lambda: probe.guest_view(frozenset())),
                ('trial', lambda: probe.trial(guest)),
            ):
                runner.bench_time_func(
                    f'probe, {title}, {name}', measure, ask, kernel
                )


if __name__ == '__main__':
    main()
