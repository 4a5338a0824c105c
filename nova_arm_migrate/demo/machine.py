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

"""The CPU and KVM of an Arm64 host, played back from its recorded profile.

This is what the simulated QEMU meets; it decides what really happens to a
guest, whatever Nova's driver thought of it before.
"""

from __future__ import annotations

import dataclasses
import pathlib
import typing as ty

from lxml import etree

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import record
from nova_arm_migrate.core import tables
from nova_arm_migrate.core import vcpu
from nova_arm_migrate.probe import recorded

_KIB = 1024

VcpuState: ty.TypeAlias = ty.Any


class Loaded(ty.NamedTuple):
    """What became of an incoming vCPU state.

    :ivar refused: one text for each refused register; the load failed
        unless it is empty.
    :ivar state: what the vCPU shows the guest from now on.
    """

    refused: tuple[str, ...]
    state: VcpuState


class Machine(ty.Protocol):
    """The CPU and KVM of one host, as QEMU meets them."""

    def reset(self, domain_xml: str) -> VcpuState:
        """Return what a new vCPU of a domain shows."""
        ...

    def load(self, state: VcpuState) -> Loaded:
        """Write a vCPU's state to a new vCPU."""
        ...


def read_host(path: pathlib.Path) -> profile.Host:
    """Read a recorded host profile.

    :raises ProfileError: it isn't one.
    :raises OSError: the file can't be read.
    """
    return record.load_host(path.read_text(encoding='utf-8'))


def disabled_features(domain_xml: str) -> frozenset[str]:
    """Return the vCPU features that a domain switches off."""
    tree = etree.fromstring(domain_xml)
    names = {
        str(feature.get('name')) for feature in tree.iterfind('cpu/feature')
        if feature.get('policy') in ('disable', 'forbid')}
    pmu = tree.find('features/pmu')
    if pmu is not None and pmu.get('state') == 'off':
        names.add('pmu')
    return frozenset(names & profile.DISABLED_NAMES)


class RecordedMachine:
    """A `Machine` that is a recorded host.

    :ivar host: the profile.
    :ivar probe: the recorded twin of the driver's probe.
    """

    def __init__(self, host: profile.Host) -> None:
        self.host = host
        self.probe = recorded.RecordedHost(host)

    def reset(self, domain_xml: str) -> profile.Guest:
        """Return what a vCPU of a domain shows when its QEMU starts."""
        tree = etree.fromstring(domain_xml)
        gic = tree.find('features/gic')
        version = gic.get('version') if gic is not None else None
        return vcpu.guest_started_on(
            self.host, disabled=disabled_features(domain_xml),
            gic=int(version) if version and version.isdigit() else None,
            memory=int(tree.findtext('memory') or 0) * _KIB or None)

    def load(self, state: VcpuState) -> Loaded:
        """Write a guest's registers to a new vCPU, as QEMU does.

        The guest keeps its values.  A register that only this host has
        starts with this host's value, and is the guest's from now on.
        """
        guest = ty.cast(profile.Guest, state)
        trial = self.probe.trial(guest)
        if not trial.accepted:
            refused = [f'{tables.register_of(code).name}: {errno}'
                       for code, errno in trial.refused]
            missing = [f'{tables.register_of(code).name}: missing here'
                       for code in (*trial.missing, *trial.unjudged)]
            return Loaded(
                (*refused, *missing) or (trial.why_not,), None)
        here = vcpu.offered(self.host, guest.disabled)
        had = guest.listed or frozenset()
        values = {code: value for code, value in here.values.items()
                  if code not in had}
        values.update(guest.values)
        return Loaded((), dataclasses.replace(
            guest, listed=here.listed, values=profile.Values(values)))
