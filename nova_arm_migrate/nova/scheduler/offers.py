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


"""Which hosts start a guest on the baseline that it is to have."""

from collections.abc import Iterable
from typing import Any
from typing import NamedTuple

from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova.baseline import choice
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.records import instance_state


def why_not(host: Host | str, flavor: Any, instance: Any) -> str:
    """Return why a guest can't start on a host as it is to start.

    A guest that starts again gets the newest version of its baseline, so a
    host with a newer version than the guest's is right. One with an older
    version, or with other contents of the same version, is not.

    :param host: the record of the host, or why there is none
    :param flavor: that the guest gets; None if the request has none
    :param instance: the guest; None if it is new. Nova keeps the image's
        property out of the request, so only the flavor counts then
    :returns: a few words; empty if it can, or that is not known
    """
    default = ''
    if isinstance(host, Host):
        default = host.baseline_default or ''
    if instance is not None:
        name = choice.wanted(instance, default, flavor)
    else:
        name = choice.of_flavor(flavor) if flavor else ''
    if not name or name == choice.NONE:
        return ''
    newest = (
        versions.current(host.baselines).get(name)
        if isinstance(host, Host)
        else None
    )
    if newest is None:
        return f'{name}: not offered'
    guest = recorded_baseline(instance)
    if (
        not isinstance(host, Host)
        or guest is None
        or versions.name_of(guest.identity) != name
    ):
        return ''
    if versions.number(newest) < versions.number(guest.identity):
        return f'{guest.identity}: only {newest} is offered'
    if newest == guest.identity and differ(
        guest.digest, host.baseline_digest(newest)
    ):
        return f'{newest}: other contents are offered'
    return ''


class Recorded(NamedTuple):
    """The baseline on which a guest runs.

    :ivar identity: name and version
    :ivar digest: `CpuBaseline.digest`; None if it is not recorded
    """

    identity: str
    digest: str | None


def recorded_baseline(instance: Any) -> Recorded | None:
    """Return the baseline in a guest's record; None if it has none.

    :param instance: None for a new guest
    """
    if instance is None:
        return None
    record = instance_state.recorded(instance)
    if not isinstance(record, Guest) or record.baseline is None:
        return None
    return Recorded(record.baseline, record.baseline_digest)


def doubt(host: Host | str, guest: Recorded) -> str | None:
    """Return why a host may have other contents of a guest's baseline.

    :returns: a few words; None if it offers the same, or does not offer it
    """
    if not isinstance(host, Host) or guest.identity not in host.baselines:
        return None
    if guest.digest is None:
        return f"{guest.identity}: the guest's record has no contents"
    if host.baseline_digest(guest.identity) is None:
        return f'{guest.identity}: the record of the host has no contents'
    return None


def differ(one: str | None, other: str | None) -> bool:
    """Whether two digests are known, and differ."""
    return one is not None and other is not None and one != other


def contradictions(hosts: Iterable[Host | str]) -> list[str]:
    """Return the baselines that hosts offer with different contents.

    :returns: names and versions, ascending. A host whose record has no
        digest contradicts no other
    """
    found: dict[str, set[str]] = {}
    for host in hosts:
        if isinstance(host, Host):
            for identity, digest in host.baseline_digests:
                found.setdefault(identity, set()).add(digest)
    return sorted(name for name, digests in found.items() if len(digests) > 1)
