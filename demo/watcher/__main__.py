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

"""``python -m demo.watcher``: Watcher's audits in the simulated cloud.

Exit status: 0 if no action failed under our driver with the pools as scope, 1
if one did, 2 if it could not run at all (one line says why), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import collections.abc
import contextlib
import logging
import os
import pathlib
import sys
import tempfile
import time

from demo import program

SIMULATED = """\
Simulated: libvirt and QEMU; Arm64 hosts (recorded profiles); keystone, \
glance, neutron, cinder; Aetos, and the load that it reports.
Real: Nova and Placement; Watcher's API, decision engine and applier, in one \
process; the openstack client."""


CONFIGURATIONS = ('stock', 'no-scope', 'ours')


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m demo.watcher',
        description="Watcher's audits of a mixed fleet, in the simulated"
        ' cloud.',
        epilog=SIMULATED.replace('\n', ' '),
    )
    parser.add_argument(
        '--venv',
        type=pathlib.Path,
        default=pathlib.Path('.venv-watcher'),
        metavar='DIRECTORY',
        help='where Watcher is installed; what is there is deleted if it is'
        ' not the Watcher that is wanted (default: %(default)s)',
    )
    parser.add_argument(
        '--configuration',
        action='append',
        choices=CONFIGURATIONS,
        help='run the audits under this one only; it can be repeated'
        ' (default: all)',
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the audits and return the exit status."""
    arguments = parse(argv)
    print(SIMULATED, flush=True)
    program.prepare()
    directory = pathlib.Path(
        tempfile.mkdtemp(prefix='nova-arm-migrate-watcher-')
    )
    try:
        return _run(
            arguments.venv.absolute(),
            directory,
            arguments.configuration or CONFIGURATIONS,
        )
    except KeyboardInterrupt:
        print('\nInterrupted.', flush=True)
        return 130
    except Exception as exc:
        # oslo.log's excepthook would write it only to the log.
        logging.getLogger(__name__).exception('the audits failed')
        return _cannot(f'{program.first_line(exc)}; see the log')
    finally:
        program.leave_logs(directory)


def _run(
    environment: pathlib.Path,
    directory: pathlib.Path,
    configurations: collections.abc.Collection[str],
) -> int:
    try:
        import nova.tests.functional  # noqa: F401  (chooses native threads)

        from demo import api as demo_api
        from demo import cloud as demo_cloud
        from demo import frontend
        from demo import settings
        from demo import terminal
        from demo.watcher import audits
        from demo.watcher import fleet as demo_fleet
        from demo.watcher import process
        from demo.watcher import table
        from demo.watcher import trials
    except ImportError as exc:
        return _cannot(f"{exc}: pip install 'nova-arm-migrate[demo,osc]'")
    from nova_arm_migrate import finder

    finder.install()
    program.quiet()
    started = time.monotonic()
    try:
        process.install(environment)
    except process.WatcherFailed as exc:
        return _cannot(str(exc))
    # The commands that are shown name files in it.
    os.chdir(directory)
    front = frontend.Frontend()
    watcher = process.Watcher(environment, directory)
    cloud = demo_cloud.Cloud(
        directory,
        front,
        {
            name: demo_cloud.HostSpec(profile, demo_fleet.MEMORY_GIB)
            for name, profile in demo_fleet.profiles().items()
        },
        settings.STOCK_DRIVER,
        endpoints={
            'infra-optim': watcher.url,
            'metric-storage': f'{front.url}/metric-storage',
        },
    )
    with contextlib.ExitStack() as last:
        last.callback(watcher.close)
        cloud.setUp()
        last.callback(cloud.cleanUp)
        administrator = demo_api.connect(cloud.environment)
        fleet = demo_fleet.Fleet(administrator, cloud.finish_live_migrations)
        front.mount('metric-storage', fleet.metrics)
        watcher.configure(cloud.environment['OS_AUTH_URL'])
        watcher.start()
        try:
            rows = trials.Trials(
                cloud.reconfigure,
                administrator,
                fleet,
                watcher,
                audits.Audits(
                    administrator,
                    terminal.Terminal(
                        cloud.environment, program=watcher.client
                    ),
                ),
                terminal.Terminal(cloud.environment),
            ).run(configurations)
        except Exception:
            # The services may take minutes to stop.
            logging.getLogger(__name__).exception('the audits failed')
            raise
        print(f'\n{table.render(rows)}\n', flush=True)
        print(f'{time.monotonic() - started:.0f} s', flush=True)
    failures = table.failures(rows, CONFIGURATIONS[-1])
    for failure in failures:
        print(f'FAILED: {failure}', flush=True)
    return 1 if failures else 0


def _cannot(why: str) -> int:
    print(f'demo.watcher: {why}', file=sys.stderr, flush=True)
    return 2


if __name__ == '__main__':
    _status = main()
    sys.stdout.flush()
    # Threads of stopped services may still be waiting for a timer.
    os._exit(_status)
