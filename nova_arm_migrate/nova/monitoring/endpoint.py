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

"""Serves a compute's metrics to Prometheus, over HTTP.

prometheus-client's own server runs in a thread. On eventlet its loop would
stop all green threads if ``socketserver`` was imported before eventlet patched
the standard library. So there the server is eventlet's, as for Nova's own
APIs.
"""

from collections.abc import Callable
import logging as std_logging
import sys
from typing import Any

from oslo_log import log as logging

from nova_arm_migrate.nova.monitoring.metrics import Metrics

LOG = logging.getLogger(__name__)

#: A scraper that is slower than this is disconnected, in seconds.
_SLOWEST = 30


class Endpoint:
    """An HTTP server that runs.

    :ivar port: on which it listens
    """

    def __init__(self, port: int, stop: Callable[[], None]) -> None:
        self.port = port
        self._stop = stop

    def close(self) -> None:
        """Stop it, and free the port."""
        self._stop()


def start(metrics: Metrics, address: str, port: int) -> Endpoint | None:
    """Count, and serve the metrics.

    Never raises: a compute without metrics still runs guests. An error in the
    log says what is missing, and then nothing is counted.

    :param address: an IP address of this host
    :param port: 0 for no metrics
    """
    if not port:
        return None
    try:
        registry = metrics.start()
        if not address:
            # eventlet would listen on all addresses of the host.
            raise OSError('the address is empty')
        endpoint = (_green if _on_eventlet() else _threaded)(
            registry, address, port
        )
    except ImportError as error:
        LOG.error(
            '[arm_migrate] metrics_port is set, and prometheus-client cannot'
            ' be imported: %s. There are no metrics. Install'
            ' nova-arm-migrate[metrics].',
            error,
        )
        return None
    except OSError as error:
        metrics.stop()
        LOG.error(
            'Cannot serve metrics on %(address)s, port %(port)d: %(error)s.'
            ' Change [arm_migrate] metrics_address or metrics_port, and'
            ' restart nova-compute.',
            {'address': address, 'port': port, 'error': error},
        )
        return None
    LOG.info(
        'Metrics are served on %(address)s, port %(port)d',
        {'address': address, 'port': endpoint.port},
    )
    return endpoint


def _on_eventlet() -> bool:
    patcher: Any = sys.modules.get('eventlet.patcher')
    return patcher is not None and bool(patcher.is_monkey_patched('thread'))


def _threaded(registry: Any, address: str, port: int) -> Endpoint:
    import prometheus_client

    server, thread = prometheus_client.start_http_server(
        port, address, registry
    )
    # A connection that says nothing must not keep its thread for ever.
    handler: Any = server.RequestHandlerClass
    server.RequestHandlerClass = type(
        'Handler', (handler,), {'timeout': _SLOWEST}
    )

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return Endpoint(server.server_port, stop)


def _green(registry: Any, address: str, port: int) -> Endpoint:
    import eventlet
    from eventlet import wsgi
    import prometheus_client

    family = (
        eventlet.green.socket.AF_INET6
        if ':' in address
        else eventlet.green.socket.AF_INET
    )
    # With eventlet's default, SO_REUSEPORT, two processes would share a taken
    # port, and each scrape would get the metrics of one of them by chance.
    listening = eventlet.listen(
        (address, port), family=family, reuse_port=False
    )
    thread = eventlet.spawn(
        wsgi.server,
        listening,
        prometheus_client.make_wsgi_app(registry),
        log=std_logging.getLogger(__name__),
        log_output=False,
        socket_timeout=_SLOWEST,
    )

    def stop() -> None:
        thread.kill()
        listening.close()

    return Endpoint(listening.getsockname()[1], stop)
