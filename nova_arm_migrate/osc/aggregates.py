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
"""Host aggregates that follow the pools: what to change, and changing it."""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import enum
import hashlib
import re
from typing import Any
from urllib.parse import quote

from openstack import exceptions

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.fleets import cores_of
from nova_arm_migrate.core.baseline import baseline
from nova_arm_migrate.core.pools import Pool
from nova_arm_migrate.core.record import dump_guest
from nova_arm_migrate.osc.cloud import MICROVERSION

#: Aggregates with this metadata are ours; others are never changed.
MARK = 'arm64_pool'
_VALUE = 'nova-arm-migrate'
_DIGITS = 8


@dataclasses.dataclass(frozen=True, slots=True)
class Aggregate:
    """A host aggregate.

    :ivar key: its ID
    :ivar hosts: the names of its compute hosts, as the API writes them
    :ivar ours: whether it has our mark
    :ivar bare: whether it has neither hosts nor metadata
    """

    key: int
    name: str
    hosts: frozenset[str]
    ours: bool
    bare: bool = False


class Action(enum.Enum):
    """What is changed."""

    REMOVE = 'remove host'
    DELETE = 'delete'
    RENAME = 'rename'
    CREATE = 'create'
    MARK = 'mark'
    ADD = 'add host'


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One change.

    :ivar aggregate: the name that the aggregate has then
    :ivar what: the host, or the new name; empty for others
    """

    action: Action
    aggregate: str
    what: str = ''


def names_of(pools: Sequence[Pool]) -> list[str]:
    """Return a name for each pool that depends on nothing but its hosts.

    It has the core, and a digest of the pool's baseline.
    """
    names: list[str] = []
    for pool in pools:
        guest = baseline([profile.host for profile in pool.profiles]).guest
        core = re.sub(
            '[^a-z0-9]+', '-', cores_of(pool.profiles[0].host).lower()
        ).strip('-')[:60]
        digest = hashlib.sha256(dump_guest(guest).encode()).hexdigest()
        name = first = f'arm64-{core}-{digest[:_DIGITS]}'
        number = 1
        while name in names:
            number += 1
            name = f'{first}-{number}'
        names.append(name)
    return names


def changes(
    wanted: Mapping[str, frozenset[str]], existing: Sequence[Aggregate]
) -> list[Step]:
    """Return what makes our aggregates those that are wanted.

    An aggregate keeps its ID: one with a wanted name stays, others become the
    pool with which they share most hosts. Changes that were interrupted are
    completed by the next ones.

    :param wanted: the hosts of each aggregate, by its name
    :raises CommandError: if an aggregate that is not ours has a wanted name
    """
    ours = {one.name: one for one in existing if one.ours}
    unmarked = {}
    for one in existing:
        if not one.ours and one.name in wanted:
            if not one.bare:
                raise CommandError(
                    f'the aggregate {one.name} exists and has no metadata'
                    f' {MARK}: rename it'
                )
            # The mark of a new aggregate is a request of its own.
            unmarked[one.name] = one
    taken = {name: ours[name] for name in wanted if name in ours}
    left = {name: one for name, one in ours.items() if name not in wanted}
    free = [
        name for name in wanted if name not in taken and name not in unmarked
    ]
    pairs = sorted(
        (-len(one.hosts & wanted[name]), name, old)
        for name in free
        for old, one in left.items()
        if one.hosts & wanted[name]
    )
    for _, name, old in pairs:
        if name not in taken and old in left:
            taken[name] = left.pop(old)
    return list(_steps(wanted, taken, unmarked, left))


def _steps(
    wanted: Mapping[str, frozenset[str]],
    taken: Mapping[str, Aggregate],
    unmarked: Mapping[str, Aggregate],
    left: Mapping[str, Aggregate],
) -> Iterator[Step]:
    """Yield the changes; a host leaves before it joins."""
    for name in sorted(left):
        for host in sorted(left[name].hosts):
            yield Step(Action.REMOVE, name, host)
        yield Step(Action.DELETE, name)
    for name, one in sorted(taken.items()):
        for host in sorted(one.hosts - wanted[name]):
            yield Step(Action.REMOVE, one.name, host)
        if one.name != name:
            yield Step(Action.RENAME, one.name, name)
    for name in sorted(wanted):
        if name not in taken:
            if name not in unmarked:
                yield Step(Action.CREATE, name)
            yield Step(Action.MARK, name)
        has = taken[name].hosts if name in taken else frozenset()
        for host in sorted(wanted[name] - has):
            yield Step(Action.ADD, name, host)


class Aggregates:
    """The host aggregates of the cloud.

    Every method raises `openstack.exceptions.HttpException` if the API refuses
    a request.

    :param compute: the SDK's adapter for Nova's API
    """

    def __init__(self, compute: Any) -> None:
        self._compute = compute
        self._keys: dict[str, int] = {}

    def all(self) -> list[Aggregate]:
        """Return all aggregates.

        :raises CommandError: if the answer cannot be understood
        """
        response = self._compute.get(
            '/os-aggregates', params={}, microversion=MICROVERSION
        )
        exceptions.raise_from_response(response)
        try:
            found = [
                Aggregate(
                    key=int(one['id']),
                    name=str(one['name']),
                    hosts=frozenset(map(str, one['hosts'])),
                    ours=one['metadata'].get(MARK) == _VALUE,
                    bare=not one['hosts'] and not one['metadata'],
                )
                for one in response.json()['aggregates']
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise CommandError(
                "the API's answer about aggregates cannot be understood"
            ) from None
        self._keys = {one.name: one.key for one in found}
        return found

    def apply(self, step: Step) -> None:
        """Make one change."""
        name = step.aggregate
        match step.action:
            case Action.CREATE:
                answer = self._ask('post', '', {'aggregate': {'name': name}})
                self._keys[name] = int(answer.json()['aggregate']['id'])
            case Action.RENAME:
                self._ask('put', name, {'aggregate': {'name': step.what}})
                self._keys[step.what] = self._keys.pop(name)
            case Action.DELETE:
                self._ask('delete', name, None)
            case Action.MARK:
                self._act(name, 'set_metadata', metadata={MARK: _VALUE})
            case Action.ADD:
                self._act(name, 'add_host', host=step.what)
            case Action.REMOVE:
                self._act(name, 'remove_host', host=step.what)

    def _act(self, name: str, action: str, **content: Any) -> None:
        self._ask('post', name, {action: content}, '/action')

    def _ask(
        self, method: str, name: str, content: Any, path: str = ''
    ) -> Any:
        key = f'/{quote(str(self._keys[name]), safe="")}' if name else ''
        options = {} if content is None else {'json': content}
        response = getattr(self._compute, method)(
            f'/os-aggregates{key}{path}',
            microversion=MICROVERSION,
            **options,
        )
        exceptions.raise_from_response(response)
        return response
