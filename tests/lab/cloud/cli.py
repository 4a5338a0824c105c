# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""``python3 -m tests.lab cloud up|down|run|host|client|list``."""

import argparse
import collections.abc
import typing

from tests.lab import errors
from tests.lab import host as hosts
from tests.lab import places
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import install
from tests.lab.cloud import scenarios
from tests.lab.cloud import services
from tests.lab.cloud import settings


def cmd_up(args: argparse.Namespace) -> int:
    cloud = clouds.Cloud.create(args.name, args.nova or install.RELEASE)
    try:
        cloud.add_hosts(*args.host, driver=settings.DRIVERS[args.driver])
    except BaseException:
        _fail(cloud)
        raise
    for name, value in services.client_environment().items():
        print(f'export {name}={value}')
    print('# python3 -m tests.lab cloud client server list')
    return 0


def _fail(cloud: clouds.Cloud) -> None:
    folder = cloud.save_logs()
    cloud.down()
    places.say(f'cloud: everything is down; the logs are in {folder}')


def cmd_down(args: argparse.Namespace) -> int:
    try:
        lab = hosts.Lab.open(args.name)
    except errors.LabError:
        return 0
    lab.down()
    return 0


def cmd_client(args: argparse.Namespace) -> int:
    """Run the openstack client in the cloud's network."""
    cloud = clouds.Cloud.open(args.name)
    return cloud.client.interactive(args.command)


def cmd_list(args: argparse.Namespace) -> int:
    for scenario in scenarios.SCENARIOS:
        print(f'{scenario.name:12} {scenario.about}')
    return 0


def _running(args: argparse.Namespace) -> clouds.Cloud | None:
    """Return the running cloud, None if there is none.

    :raises LabError: if it has another Nova than *args* ask for
    """
    try:
        cloud = clouds.Cloud.open(args.name)
    except errors.LabError:
        return None
    if args.nova not in (None, cloud.release):
        raise errors.LabError(
            f'cloud {args.name} is up with Nova {cloud.release}; '
            'end it first: python3 -m tests.lab cloud down'
        )
    return cloud


def cmd_run(args: argparse.Namespace) -> int:
    """Run scenarios, in the running cloud or in a new one."""
    cloud = _running(args)
    fresh = cloud is None
    release = cloud.release if cloud else args.nova or install.RELEASE
    chosen = scenarios.chosen(args.scenario, release)
    if cloud is None:
        cloud = clouds.Cloud.create(args.name, release)
    failed = True
    try:
        failed = scenarios.run(cloud, chosen)
    finally:
        places.say(f'cloud: logs are in {cloud.save_logs()}')
        if fresh and not args.keep:
            cloud.down()
            places.say('cloud: everything is down')
    return 1 if failed else 0


def add_to(
    subs: 'argparse._SubParsersAction[argparse.ArgumentParser]',
) -> None:
    """Add ``cloud`` and its commands to the lab's."""
    top = subs.add_parser(
        'cloud',
        help='a complete OpenStack on emulated hosts',
        description='RabbitMQ, MariaDB, keystone, glance, placement, '
        'neutron and Nova on this machine, nova-compute in emulated Arm64 '
        'hosts, all in a separate network.',
    )
    top.add_argument('--name', default=clouds.NAME, help='of its lab')
    top.add_argument(
        '--nova',
        type=int,
        choices=install.CLOUDS,
        help="release of Nova; 31 is Debian's packages in the hosts "
        f'(default: that of a running cloud, or {install.RELEASE})',
    )
    commands = top.add_subparsers(required=True, metavar='COMMAND')

    def add(
        name: str,
        function: collections.abc.Callable[[argparse.Namespace], int],
        text: str,
        **more: typing.Any,
    ) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, **more)
        sub.set_defaults(function=function)
        return sub

    sub = add('up', cmd_up, 'start a cloud and keep it running')
    sub.add_argument('host', nargs='*', help='such as neoverse-n1')
    sub.add_argument('--driver', choices=settings.DRIVERS, default='ours')
    add('down', cmd_down, 'end the cloud; only logs are left')
    add('list', cmd_list, 'list the scenarios')
    sub = add('run', cmd_run, 'run scenarios: all, or those named')
    sub.add_argument('scenario', nargs='*')
    sub.add_argument(
        '--keep', action='store_true', help='leave the cloud up afterwards'
    )
    sub = add('client', cmd_client, "run the cloud's openstack client")
    sub.add_argument('command', nargs=argparse.REMAINDER)
