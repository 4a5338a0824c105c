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

"""The CPU and KVM of an Arm64 host, replayed from its recorded profile.

The simulated QEMU calls this module, which decides what happens to a guest.
The driver's own verdict has no influence here. So this module shares data with
the driver (records of hosts, the bits of a vCPU feature), but no rule:
`kvm_rule`, `qemu` and `board` were written separately from the sources of
Linux and QEMU, and are checked against answers of real kernels.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as ty

from lxml import etree

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import record
from nova_arm_migrate.core import registers
from nova_arm_migrate.core import tables
from nova_arm_migrate.core.tables import features
from nova_arm_migrate.core.tables import hidden
from nova_arm_migrate.probe import recorded
from simulated import board
from simulated import kvm_rule
from simulated import qemu

#: MIDR_EL1, REVIDR_EL1, AIDR_EL1
_IMPLEMENTATION = (0xC000, 0xC006, 0xC807)

#: The version for a record that has none: the one that accepts least.
_OLDEST = (0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class VcpuState:
    """What the vCPUs of a running QEMU show to their guest.

    :ivar values: of the registers whose values a host's record stores; zeros
        are left out
    :ivar reg_list: codes of all registers that KVM lists
    :ivar disabled: vCPU features that the domain switches off
    :ivar gic: version of the domain's GIC, None if it says none
    :ivar interface: ICC_CTLR_EL1, None if it is not known or does not exist
    :ivar board: the machine that QEMU has built around them
    :ivar xml: the domain; the same guest has another id on another host, so it
        is not compared
    """

    values: profile.Values
    reg_list: frozenset[int]
    disabled: frozenset[str]
    gic: int | None
    interface: int | None
    board: board.Board
    xml: str = dataclasses.field(compare=False)


class Loaded(ty.NamedTuple):
    """The result of loading an incoming vCPU state.

    :ivar refused: one text for each refused register or part of the machine;
        the load failed unless it is empty.
    :ivar state: what the vCPU shows the guest from now on; None if the load
        failed.
    :ivar broken: one text for each thing that the guest has lost although
        nothing refused the load.
    """

    refused: tuple[str, ...]
    state: VcpuState | None
    broken: tuple[str, ...] = ()


class NotStarted(Exception):
    """QEMU ends before its guest runs; the text is the reason."""


class Machine(ty.Protocol):
    """The CPU and KVM of one host, as QEMU uses them."""

    def reset(self, domain_xml: str) -> VcpuState:
        """Return what a new vCPU of a domain shows.

        :raises NotStarted: if QEMU does not start
        """
        ...

    def load(self, state: VcpuState, domain_xml: str | None = None) -> Loaded:
        """Write a vCPU's state to a new vCPU.

        :param domain_xml: the domain here; None if it is as on the source
        """
        ...


def read_host(path: pathlib.Path) -> profile.Host:
    """Read a recorded host profile.

    :raises ProfileError: the file is not a profile.
    :raises OSError: the file can't be read.
    """
    return record.load_host(path.read_text(encoding='utf-8'))


def disabled_features(domain_xml: str) -> frozenset[str]:
    """Return the vCPU features that a domain switches off."""
    tree = etree.fromstring(domain_xml)
    names = {
        str(feature.get('name'))
        for feature in tree.iterfind('cpu/feature')
        if feature.get('policy') in ('disable', 'forbid')
    }
    pmu = tree.find('features/pmu')
    if pmu is not None and pmu.get('state') == 'off':
        names.add('pmu')
    return frozenset(names & profile.DISABLED_NAMES)


class RecordedMachine:
    """A `Machine` that replays a recorded host.

    :ivar host: the profile.
    :ivar probe: the recorded twin of the driver's probe, for the driver.
    :ivar libraries: paths of libraries that QEMU can preload.
    :ivar stuck: vCPU features that QEMU leaves on although the domain switches
        them off.
    """

    def __init__(self, host: profile.Host) -> None:
        self.host = host
        self.probe = recorded.RecordedHost(host)
        self.libraries: set[str] = set()
        self.stuck: set[str] = set()
        self._kernel = profile.version_of(host.kernel) or _OLDEST
        self._qemu = profile.version_of(host.qemu) or _OLDEST
        caches = host.own_caches
        if caches is None:
            caches = kvm_rule.makes_up_caches(host.reg_list or ())
        self._rule = kvm_rule.Rule(
            self._kernel,
            host.writable or profile.Values(),
            _hidden(host),
            caches,
        )

    def reset(self, domain_xml: str) -> VcpuState:
        """Return what a vCPU of a domain shows when its QEMU starts."""
        gic = etree.fromstring(domain_xml).find('features/gic')
        version = gic.get('version') if gic is not None else None
        return self._new(
            domain_xml, int(version) if version and version.isdigit() else None
        )

    def load(self, state: VcpuState, domain_xml: str | None = None) -> Loaded:
        """Write a guest's registers to a new vCPU, as QEMU does.

        The guest keeps its values, as far as KVM keeps them. A register that
        only this host has starts with this host's value, and then belongs to
        the guest. QEMU stops at the first error; this method reports all.
        """
        if self.host.reg_list is None:
            return Loaded((self.host.why_absent('reg_list'),), None)
        if (
            state.gic is not None
            and self.host.gic is not None
            and state.gic not in self.host.gic
        ):
            return Loaded((f'GICv{state.gic}: missing here',), None)
        try:
            new = self._new(domain_xml or state.xml, state.gic)
        except NotStarted as error:
            return Loaded((str(error),), None)
        refused = board.refuses(state.board, new.board)
        refused += [
            f'{tables.register_of(code).name}: missing here'
            for code in qemu.fails(
                state.reg_list, new.reg_list, state.values, self._qemu
            )
        ]
        limits = self._limits(new.disabled)
        kept = dict(new.values)
        for code in sorted(state.reg_list & new.reg_list):
            if not tables.keeps_value(code):
                # State of the running guest: KVM accepts any value.
                continue
            try:
                kept[code] = self._rule.take(
                    code,
                    state.values.read(code),
                    limits.read(code),
                    new.values.read(code),
                    limits,
                )
            except kvm_rule.Refused:
                refused.append(f'{tables.register_of(code).name}: EINVAL')
        interface = new.interface
        if interface is not None and state.interface is not None:
            # The GIC is a separate device, restored after the vCPUs.
            controller = kvm_rule.Interface(interface)
            try:
                controller.write(state.interface)
            except kvm_rule.Refused:
                refused.append('ICC_CTLR_EL1: EINVAL')
            interface = controller.value
        if refused:
            return Loaded(tuple(refused), None)
        return Loaded(
            (),
            dataclasses.replace(
                new,
                values=_values(kept),
                interface=interface,
                board=board.arrived(state.board, new.board),
            ),
            tuple(board.breaks(state.board, new.board)),
        )

    def _new(self, domain_xml: str, gic: int | None) -> VcpuState:
        """Return what a new vCPU shows in a machine with a GIC."""
        disabled = disabled_features(domain_xml) - self.stuck
        shown = dict(self._limits(disabled))
        on_record = self.host.vgic(gic)
        if on_record is not None:
            for code, value in on_record.shown:
                # This is KVM's answer; other features do not affect it.
                shown[code] = (
                    shown.get(code, 0) ^ value ^ self.host.values.read(code)
                )
        elif gic is not None:
            shown = {
                code: kvm_rule.finalized(code, value, gic, self._kernel)
                for code, value in shown.items()
            }
        reg_list = self._reg_list(disabled)
        variables = environment(domain_xml)
        if variables.get('LD_PRELOAD') in self.libraries:
            text = variables.get('NOVA_ARM_BASELINE')
            if text:
                self._write(text, shown, reg_list)
                reg_list -= _no_longer_listed(shown, reg_list)
        return VcpuState(
            _values(shown),
            reg_list,
            disabled,
            gic,
            on_record.ctlr if on_record is not None else None,
            board.build(domain_xml, disabled, self.host),
            domain_xml,
        )

    def _write(
        self, text: str, shown: dict[int, int], reg_list: frozenset[int]
    ) -> None:
        """Write what the preloaded library writes to a new vCPU.

        :param text: as described in doc/source/contributor/shim.rst
        :param shown: what the vCPU shows; is changed
        :raises NotStarted: if KVM refuses a register
        """
        limits = profile.Values(shown)
        _, name, _, items, _ = text.split(';')
        for item in items.split(','):
            number, _, value = item.partition('=')
            code = registers.code_of(int(number, 16))
            refused = NotStarted(
                f'nova-arm-baseline: {name}: register {number} cannot be set:'
                f' wanted {value}, there is {shown.get(code or 0, 0):#x}'
                ' (Invalid argument)'
            )
            if code is None or code not in reg_list:
                raise refused
            wanted = int(value, 16)
            may_write = code in _IMPLEMENTATION and dict(
                self.host.capabilities
            ).get('WRITABLE_IMP_ID_REGS')
            try:
                shown[code] = (
                    wanted
                    if may_write
                    else self._rule.take(
                        code,
                        wanted,
                        limits.read(code),
                        shown.get(code, 0),
                        shown,
                    )
                )
            except kvm_rule.Refused:
                raise refused from None

    def _limits(self, disabled: frozenset[str]) -> profile.Values:
        """Return KVM's limits for a vCPU without some features."""
        limits = dict(self.host.values)
        for name in disabled & features.FEATURES.keys():
            feature = features.FEATURES[name]
            for code in feature.bits.keys() & limits.keys():
                limits[code] &= ~feature.bits[code]
            for code in feature.registers:
                limits.pop(code, None)
        return _values(limits)

    def _reg_list(self, disabled: frozenset[str]) -> frozenset[int]:
        gone = [
            features.FEATURES[name].registers
            for name in disabled & features.FEATURES.keys()
        ]
        return (self.host.reg_list or frozenset()).difference(*gone)


def _values(values: dict[int, int]) -> profile.Values:
    """Leave out zeros, as records do."""
    return profile.Values(
        {code: value for code, value in values.items() if value}
    )


def environment(domain_xml: str) -> dict[str, str]:
    """Return the variables that a domain gives its QEMU."""
    return {
        str(one.get('name')): str(one.get('value'))
        for one in etree.fromstring(domain_xml).iterfind(
            '{http://libvirt.org/schemas/domain/qemu/1.0}commandline/'
            '{http://libvirt.org/schemas/domain/qemu/1.0}env'
        )
    }


def _no_longer_listed(
    shown: dict[int, int], reg_list: frozenset[int]
) -> frozenset[int]:
    """Return the registers that KVM hides for ID registers that are lower."""
    gone: frozenset[int] = frozenset()
    for one in hidden.HIDDEN:
        field = tables.REGISTERS[one.code].field(one.field)
        if not shown.get(one.code, 0) & field.mask and (
            one.witness is None or one.witness in reg_list
        ):
            gone |= one.registers
    return gone


def _hidden(host: profile.Host) -> dict[int, int]:
    """Return what the hardware has and KVM hides from guests.

    KVM accepted these values from the probe, but then still showed its own
    values (`core.tried`). A record of schema 1 does not have them.
    """
    hidden = {}
    for code, answers in (host.tried or {}).items():
        hidden[code] = sum(
            (answer.ignored.bit_length() - 1) << answer.shift
            for answer in answers
            if answer.ignored
        )
    return hidden
