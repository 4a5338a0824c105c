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
"""What the records of a fleet's computes say together: one line for each.

Every function takes the hosts by their names, and returns a complaint, or an
empty text if there is none.
"""

from collections.abc import Iterable
from collections.abc import Mapping
import json

from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.verdict import Options

#: Hosts that a line names.
_MOST = 10


def several_kinds_of_cores(hosts: Mapping[str, Host]) -> str:
    """Say which hosts have cores of several kinds.

    Which of them a guest's vCPU sees depends on where it runs.
    """
    found = {
        name: kinds
        for name, host in hosts.items()
        if len(kinds := {core_name(core.midr) for core in host.cores}) > 1
    }
    if not found:
        return ''
    cores = sorted(set().union(*found.values()))
    return (
        f'{_number(len(found), "host has", "hosts have")} several kinds of'
        f' cores ({", ".join(cores)}): {_named(found)}'
    )


def outside_every_pool(hosts: Mapping[str, Host], options: Options) -> str:
    """Say which hosts exchange guests with no other host."""
    if len(hosts) < 2:
        return ''
    pools = fleet(
        ((name, dump_host(host)) for name, host in hosts.items()), options
    ).pools
    alone = [pool.names[0] for pool in pools if len(pool.names) == 1]
    if not alone:
        return ''
    return (
        f'{_number(len(alone), "host exchanges", "hosts exchange")} guests'
        f' with no other: {_named(alone)}; see openstack arm64 pool show'
    )


def mixed_schemas(cpu_infos: Mapping[str, str]) -> str:
    """Say which computes write records of an older schema than others.

    A record has the oldest schema that can hold it: one of schema 1 has no
    tries, because of an older version or because the probe could try nothing.

    :param cpu_infos: of the hosts that have a record that can be read
    """
    schemas: dict[int, list[str]] = {}
    for name, text in cpu_infos.items():
        schema = json.loads(text)['arm_migrate']['schema']
        schemas.setdefault(schema, []).append(name)
    if len(schemas) < 2:
        return ''
    newest = max(schemas)
    older = [
        name
        for schema, names in schemas.items()
        if schema != newest
        for name in names
    ]
    return (
        f'{_number(len(older), "compute writes", "computes write")} records'
        f' of an older schema than {newest}: an older nova-arm-migrate runs'
        f' there, or its probe could try nothing: {_named(older)}'
    )


def _number(count: int, one: str, more: str) -> str:
    return f'{count} {one if count == 1 else more}'


def _named(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = len(ordered) - _MOST
    return ', '.join(ordered[:_MOST]) + (
        f' and {more} more' if more > 0 else ''
    )
