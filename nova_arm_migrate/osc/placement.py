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
"""Ask Placement which hosts have room for a server."""

from collections.abc import Iterable
from collections.abc import Mapping
import dataclasses
from typing import Any
from urllib.parse import quote

from openstack import exceptions

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.core.drain import Resource
from nova_arm_migrate.core.drain import Room

#: The first microversion whose candidates name the root of each provider.
MICROVERSION = '1.29'
#: Nova's scheduler asks for it: hosts that are disabled have this trait.
_ENABLED = '!COMPUTE_STATUS_DISABLED'
#: What an answer raises that has another form.
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError)


@dataclasses.dataclass(frozen=True, slots=True)
class Request:
    """What a server needs from any host.

    :ivar resources: class and amount, by class
    :ivar required: traits that the host needs; with ``!``, must not have
    """

    resources: tuple[tuple[str, int], ...]
    required: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Candidates:
    """Placement's answer.

    :ivar rooms: the allocation candidates; the host is a provider's name
    :ivar free: how much of each resource is free
    """

    rooms: tuple[Room, ...]
    free: Mapping[Resource, int]


class Placement:
    """What Placement's API knows.

    Every method raises `openstack.exceptions.HttpException` if the API refuses
    a request, and `CommandError` if its answer cannot be understood.

    :param adapter: the SDK's adapter for Placement's API
    """

    def __init__(self, adapter: Any) -> None:
        self._adapter = adapter
        self._names: dict[str, str] = {}

    def request(self, server: Mapping[str, Any]) -> Request | None:
        """Return what a server needs: what it has now, and its traits.

        None if Placement knows of no allocation.

        :param server: as Nova's API shows it
        """
        path = f'/allocations/{quote(str(server.get("id")), safe="")}'
        content = self._content(path, {})
        total: dict[str, int] = {}
        try:
            for allocation in content['allocations'].values():
                for name, amount in allocation['resources'].items():
                    total[name] = total.get(name, 0) + _whole(amount)
        except _MALFORMED:
            raise _unclear() from None
        if not total:
            return None
        return Request(
            tuple(sorted(total.items())), tuple(_traits(server.get('flavor')))
        )

    def candidates(self, request: Request) -> Candidates:
        """Return which hosts have room."""
        content = self._content(
            '/allocation_candidates',
            {
                'resources': ','.join(
                    f'{name}:{amount}' for name, amount in request.resources
                ),
                'required': ','.join((_ENABLED, *request.required)),
            },
        )
        try:
            return self._candidates(
                content['allocation_requests'], content['provider_summaries']
            )
        except _MALFORMED:
            raise _unclear() from None

    def _candidates(
        self, requests: Iterable[Any], summaries: Mapping[str, Any]
    ) -> Candidates:
        names = self._providers()
        free = {
            (provider, name): _whole(one['capacity']) - _whole(one['used'])
            for provider, summary in summaries.items()
            for name, one in summary['resources'].items()
        }
        rooms = []
        for request in requests:
            needs = {
                (provider, name): _whole(amount)
                for provider, one in request['allocations'].items()
                for name, amount in one['resources'].items()
                if amount
            }
            # A provider that hosts share, of storage for example, is the
            # root of itself; the host's is the one that is a compute node.
            roots = {
                summaries[provider]['root_provider_uuid']
                for provider, _ in needs
            }
            rooms += [
                Room(names[root], tuple(needs.items()))
                for root in sorted(roots)
                if root in names
            ]
        return Candidates(tuple(rooms), free)

    def _providers(self) -> Mapping[str, str]:
        """Return the names of all providers, by UUID."""
        if not self._names:
            content = self._content('/resource_providers', {})
            self._names = {
                one['uuid']: str(one['name'])
                for one in content['resource_providers']
            }
        return self._names

    def _content(self, path: str, query: Mapping[str, str]) -> Any:
        response = self._adapter.get(
            path, params=dict(query), microversion=MICROVERSION
        )
        exceptions.raise_from_response(response)
        try:
            content = response.json()
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict):
            raise _unclear()
        return content


def _unclear() -> CommandError:
    return CommandError("Placement's answer cannot be understood")


def _whole(amount: object) -> int:
    if type(amount) is not int:
        raise ValueError('not a whole number')
    return amount


def _traits(flavor: object) -> Iterable[str]:
    """Yield the traits that a flavor requires or forbids."""
    specs = flavor.get('extra_specs') if isinstance(flavor, Mapping) else None
    for key, value in specs.items() if isinstance(specs, Mapping) else ():
        kind, colon, name = str(key).partition(':')
        if kind == 'trait' and colon:
            yield f'!{name}' if value == 'forbidden' else name
