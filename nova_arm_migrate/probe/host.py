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


"""The probe of the local host: reads KVM, /proc and /sys."""

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
import contextlib
import os
import pathlib
from typing import Any

from nova_arm_migrate.core.guest_view import GuestView
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.tables import register_of
from nova_arm_migrate.core.trial import Trial
from nova_arm_migrate.core.vcpu import with_features_off
from nova_arm_migrate.probe import kvm
from nova_arm_migrate.probe import programs
from nova_arm_migrate.probe import scratch
from nova_arm_migrate.probe import tries
from nova_arm_migrate.probe import user_registers
from nova_arm_migrate.probe.errors import KvmFailed
from nova_arm_migrate.probe.errors import NotArm64
from nova_arm_migrate.probe.errors import ProbeError
from nova_arm_migrate.probe.system import parse_list
from nova_arm_migrate.probe.system import System
from nova_arm_migrate.probe.trial import trial_on

#: os.uname().machine on a machine where the probe can run.
ARM64 = 'aarch64'

#: KVM capabilities in a profile; the names omit KVM_CAP_ARM_.
CAPABILITIES = {
    'EL1_32BIT': 93,
    'PMU_V3': 126,
    'SVE': 170,
    'PTRAUTH_ADDRESS': 171,
    'PTRAUTH_GENERIC': 172,
    'STEAL_TIME': 187,
    'MTE': 205,
    'COUNTER_OFFSET': 227,
    'SUPPORTED_REG_MASK_RANGES': 230,
    'WRITABLE_IMP_ID_REGS': 239,
    'EL2': 240,
}

_FROM_KVM = (
    'values',
    'reg_list',
    'writable',
    'features',
    'sve_lengths',
    'capabilities',
    'gic',
    'vgics',
    'tried',
    'hypercalls',
    'own_caches',
    'ipa_bits',
)
_LONGEST_REASON = 120


class LocalHost:
    """The real `HostProbe`. Keeps no state between calls.

    :param qemu: the version of QEMU; None runs the program to find it
    :param libvirt: the version of libvirt; None runs the program to find it
    :param degraded: leave out what can't be read instead of raising
    :param root: the directory that contains /proc and /sys
    :param device: the path of KVM's device
    :param machine: as in os.uname(); None calls os.uname()
    """

    def __init__(
        self,
        *,
        qemu: str | None = None,
        libvirt: str | None = None,
        degraded: bool = False,
        root: pathlib.Path | str = '/',
        device: str = kvm.DEVICE,
        machine: str | None = None,
    ) -> None:
        self._qemu = qemu
        self._libvirt = libvirt
        self._degraded = degraded
        self._system = System(root)
        self._device = device
        self._machine = machine or os.uname().machine

    def host(self) -> Host:
        """Return the host's profile; the same host gives the same profile.

        :raises ProbeError: if this is not an Arm64 machine or KVM can't be
            used; not raised if degraded
        """
        host = _Assembly()
        cores: tuple[Core, ...] = ()
        try:
            self._check_machine()
        except NotArm64 as error:
            if not self._degraded:
                raise
            host.leave_out(
                error, *_FROM_KVM, 'cores', 'hwcap', 'cntfrq', 'dczid'
            )
        else:
            cores = host.take('cores', self._system.cores, ())
            host.take('hwcap', self._system.hwcap)
            host.take('cntfrq', self._timer_frequency)
            host.take(
                'dczid', lambda: user_registers.read(user_registers.DCZID_EL0)
            )
            try:
                with steady(cores):
                    host.fields.update(self._from_kvm())
            except ProbeError as error:
                if not self._degraded:
                    raise
                host.leave_out(error, *_FROM_KVM)
        host.take('page_size', self._system.page_size)
        host.take('huge_page_sizes', self._system.huge_page_sizes)
        host.take('kernel', self._system.kernel_release)
        host.take('qemu', self._qemu_version)
        host.take(
            'libvirt',
            lambda: self._libvirt or programs.version(programs.LIBVIRT),
        )
        return host.finish()

    def guest_view(
        self,
        disabled: frozenset[str],
        gic: int | None = None,
        written: Mapping[int, int] | None = None,
    ) -> GuestView:
        """Return what KVM shows to a new vCPU.

        :raises ProbeError: if KVM can't be used, or refuses a register
        """
        baseline = written is not None
        with self._scratch(disabled, gic, baseline) as (machine, features):
            scratch.write(machine.vcpu, written or {})
            return scratch.view(machine.vcpu, features)

    def trial(self, guest: Guest) -> Trial:
        """Write the guest's registers to a fresh scratch vCPU."""
        try:
            with self._scratch(
                guest.disabled, guest.gic, guest.baseline is not None
            ) as (machine, _):
                return trial_on(machine, guest, self._qemu_version)
        except ProbeError as error:
            return Trial(ran=False, why_not=str(error))

    def _check_machine(self) -> None:
        if self._machine != ARM64:
            raise NotArm64(self._machine)

    def _qemu_version(self) -> str:
        return self._qemu or programs.version(programs.QEMU)

    def _timer_frequency(self) -> int:
        try:
            return user_registers.read(user_registers.CNTFRQ_EL0)
        except ProbeError as error:
            try:
                return self._system.device_tree_timer_frequency()
            except ProbeError:
                raise error from None

    @contextlib.contextmanager
    def _scratch(
        self, disabled: frozenset[str], gic: int | None, baseline: bool
    ) -> Iterator[tuple[scratch.Machine, frozenset[str]]]:
        """Create the machine that QEMU would create for a guest."""
        self._check_machine()
        try:
            cores = self._system.cores()
        except ProbeError:
            cores = ()
        with steady(cores), kvm.Kvm(self._device) as device:
            features = device.features() - disabled
            with scratch.machine(
                device,
                features,
                scratch.sve_lengths_off(disabled),
                gic,
                baseline,
            ) as machine:
                yield machine, features

    def _from_kvm(self) -> dict[str, Any]:
        with kvm.Kvm(self._device) as device:
            features = device.features()
            ipa_bits = device.ipa_bits()
            with scratch.machine(device, features) as made:
                capabilities = {
                    name: made.vm.capability(number)
                    for name, number in CAPABILITIES.items()
                }
                if not made.vcpu.has_steal_time():
                    capabilities['STEAL_TIME'] = 0
                gic = made.vm.gic_versions()
                masks = made.vm.writable_masks()
                seen = scratch.view(made.vcpu, features)
                answers = tries.answers(made.vcpu, seen, masks)
                vgics = [made.vgic.facts()] if made.vgic is not None else []
            for version in gic[:-1]:
                with scratch.machine(device, features, gic=version) as made:
                    if made.vgic is not None:
                        vgics.append(
                            made.vgic.facts()._replace(
                                shown=scratch.shown_with(made.vcpu, seen)
                            )
                        )
        return {
            'values': seen.values,
            'reg_list': seen.reg_list,
            'features': features,
            'sve_lengths': seen.sve_lengths,
            'capabilities': tuple(
                item for item in sorted(capabilities.items()) if item[1]
            ),
            'gic': gic,
            'vgics': tuple(sorted(vgics)),
            'ipa_bits': ipa_bits,
            'writable': answers.writable,
            'tried': answers.tried,
            'hypercalls': answers.hypercalls,
            'own_caches': answers.own_caches,
        }


class _Assembly:
    """Collects a profile, and the reasons why parts of it are absent."""

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self._absent: dict[str, str] = {}

    def take(
        self, name: str, reader: Callable[[], Any], otherwise: Any = None
    ) -> Any:
        try:
            self.fields[name] = reader()
        except ProbeError as error:
            self.leave_out(error, name)
        return self.fields.get(name, otherwise)

    def leave_out(self, error: ProbeError, *names: str) -> None:
        reason = str(error).encode('ascii', 'replace').decode('ascii')
        for name in names:
            self._absent[name] = reason[:_LONGEST_REASON]

    def finish(self) -> Host:
        return Host(absent=tuple(sorted(self._absent.items())), **self.fields)


@contextlib.contextmanager
def steady(cores: tuple[Core, ...]) -> Iterator[None]:
    """Pin this thread to cores of the first kind, if there are several.

    A new vCPU gets MIDR_EL1 from the core on which its thread runs.
    """
    if len(cores) < 2:
        yield
        return
    before = os.sched_getaffinity(0)
    wanted = before.intersection(parse_list(cores[0].cpus))
    if not wanted:
        yield
        return
    try:
        os.sched_setaffinity(0, wanted)
    except OSError as error:
        raise KvmFailed(
            'sched_setaffinity', error.errno or 0, error.strerror or ''
        ) from None
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def disagreements(
    host: Host, disabled: frozenset[str], view: GuestView
) -> tuple[str, ...]:
    """Return where KVM's view of a guest differs from the derived one.

    :param host: the profile of the host on which the view was taken
    :returns: one line each; empty if `core.vcpu.with_features_off` is right
    """
    derived = with_features_off(host, disabled)
    lines = [
        f'{register_of(code).name}: KVM {view.values.read(code):#x},'
        f' derived {derived.values.read(code):#x}'
        for code in sorted(set(view.values) | set(derived.values))
        if view.values.read(code) != derived.values.read(code)
    ]
    reg_list = derived.reg_list or frozenset()
    lines.extend(
        f'{register_of(code).name}: KVM has it, derived has not'
        for code in sorted(view.reg_list - reg_list)
    )
    lines.extend(
        f'{register_of(code).name}: derived has it, KVM has not'
        for code in sorted(reg_list - view.reg_list)
    )
    for name in ('features', 'sve_lengths'):
        shown, expected = getattr(view, name), getattr(derived, name)
        if shown != expected:
            lines.append(f'{name}: KVM {shown}, derived {expected}')
    return tuple(lines)
