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

"""Watcher's services in the cloud, and the load that they see.

The API, the decision engine and the applier are separate processes, as in any
cloud: they use the cloud's keystone, RabbitMQ and MariaDB, and get Nova's
notifications. What Watcher asks about load is answered by a stand-in for
Aetos.
"""

import collections.abc
import dataclasses
import pathlib
import shutil

from demo import wsgi
from demo.watcher import metrics
from demo.watcher import process
from tests.lab import errors
from tests.lab import places
from tests.lab.cloud import backing
from tests.lab.cloud import client as clients
from tests.lab.cloud import cloud as clouds
from tests.lab.cloud import install
from tests.lab.cloud import settings

#: What Nova's services need so that Watcher learns what happens.
NOTIFICATIONS: dict[str, settings.Options] = {
    'oslo_messaging_notifications': {'driver': 'messagingv2'},
    'notifications': {'notification_format': 'versioned'},
}
_CONFIGURATION = 'watcher/watcher.conf'
#: Each reports its state under the name of its program.
_SERVICES = ('watcher-decision-engine', 'watcher-applier')
_PATIENCE = 300


@dataclasses.dataclass
class Watcher:
    """Watcher in one cloud.

    :ivar client: an ``openstack`` that has its commands
    :ivar guests: the IDs of the servers on each host, by its name; to be set
        before each audit
    :ivar load: what it is told about the load of guests and hosts
    """

    cloud: clouds.Cloud
    client: clients.Client
    guests: dict[str, list[str]]
    load: metrics.Metrics
    _server: wsgi.Server

    @classmethod
    def start(cls, cloud: clouds.Cloud, cores: int) -> 'Watcher':
        """Install Watcher if needed, and start it; return when it answers.

        :param cores: of each host
        :raises LabError: if it cannot be installed or started
        """
        home = _install()
        services = cloud.services
        places.say('cloud: watcher')
        services.register(settings.WATCHER_CATALOGUE)
        services.write(_CONFIGURATION, settings.watcher(str(services.state)))
        backing.empty_database(services, 'watcher')
        configuration = ('--config-file', services.etc / _CONFIGURATION)
        services.run(
            [home / 'bin/watcher-db-manage', *configuration, 'create_schema'],
            'making the tables of Watcher',
        )
        guests: dict[str, list[str]] = {}
        load = metrics.Metrics(cores, lambda: guests)
        server = wsgi.Server(
            (settings.ADDRESS, settings.PORTS['aetos']),
            load,
            cloud.lab.net.socket(),
        )
        server.start()
        for name in _SERVICES:
            services.start(name, [home / 'bin' / name, *configuration])
        services.serve(
            'watcher',
            'watcher.wsgi.api',
            *('--processes', 1, '--threads', 2),
            *('--pyargv', ' '.join(map(str, configuration))),
            home=home,
        )
        services.wait_api('watcher')
        client = clients.Client(cloud.lab.net, home)
        started = cls(cloud, client, guests, load, server)
        for name in _SERVICES:
            services.wait(name, started._is_active(name), _PATIENCE)
        return started

    def stop(self) -> None:
        self._server.stop()
        for name in ('watcher', *_SERVICES):
            self.cloud.services.stop(name)

    def _is_active(self, name: str) -> collections.abc.Callable[[], bool]:
        return lambda: any(
            one['Name'] == name and one['Status'] == 'ACTIVE'
            for one in self.client.data('optimize', 'service', 'list')
        )


def _install() -> pathlib.Path:
    """Return Watcher's own environment; it may have other dependencies.

    :raises LabError: if pip cannot install it
    """
    home = install.folder() / 'watcher'
    places.say('cloud: installing watcher')
    try:
        process.install(home)
    except process.WatcherFailed as exc:
        raise errors.LabError(str(exc)) from None
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    if not any(home.glob('lib/*/site-packages/pymysql')):
        constraints = install.REPOSITORY / 'constraints.txt'
        install.run_logged(
            [home / 'bin/pip', 'install', '-qc', constraints, 'PyMySQL'],
            install.folder() / 'install.log',
            "installing the database's driver for Watcher",
        )
    return home
