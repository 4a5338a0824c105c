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

"""``python -m demo``: run the demonstration.

Exit status: 0 if every scene showed what it promises, 1 if one did not, 2
if it could not run at all (one line says why), 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import logging
import os
import pathlib
import shlex
import sys
import tempfile
import threading
import time
import typing as ty

from demo import program

SIMULATED = """\
Simulated: libvirt and QEMU; Arm64 hosts (recorded profiles); keystone, \
glance, neutron, cinder.
Real: nova-api, nova-scheduler, nova-conductor, nova-computes, placement, the \
openstack client."""


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog='python -m demo',
        description='A cloud of simulated Arm64 hosts, and live migrations '
        'in it.',
        epilog=SIMULATED.replace('\n', ' '),
    )
    parser.add_argument(
        '--keep',
        action='store_true',
        help='leave the cloud up afterwards, until Ctrl-C',
    )
    parser.add_argument(
        '--no-scenes',
        action='store_true',
        help='only start the cloud and leave it up, until Ctrl-C',
    )
    parser.add_argument(
        '--port',
        type=int,
        default=0,
        metavar='PORT',
        help='TCP port of the APIs on 127.0.0.1 (default: a free one)',
    )
    arguments = parser.parse_args(argv)
    if not 0 <= arguments.port < 65536:
        parser.error(f'no TCP port: {arguments.port}')
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Run the demonstration and return the exit status."""
    arguments = parse(argv)
    print(SIMULATED, flush=True)
    program.prepare()
    directory = pathlib.Path(tempfile.mkdtemp(prefix='nova-arm-migrate-demo-'))
    try:
        return _run(arguments, directory)
    except KeyboardInterrupt:
        print('\nInterrupted.', flush=True)
        return 130
    except Exception as exc:
        # oslo.log's excepthook would write it only to the log.
        logging.getLogger(__name__).exception('the demonstration failed')
        return _cannot(f'{program.first_line(exc)}; see the log')
    finally:
        program.leave_logs(directory)


def _run(arguments: argparse.Namespace, directory: pathlib.Path) -> int:
    with contextlib.suppress(ModuleNotFoundError):  # told below
        if importlib.util.find_spec('nova.thread_pool_factory') is None:
            # Its computes run on native threads, which Nova has since then.
            return _cannot('the demonstration needs Nova 34 or newer')
    try:
        import nova.tests.functional  # noqa: F401  (chooses native threads)

        from demo import api as demo_api
        from demo import cloud as demo_cloud
        from demo import frontend
        from demo import scenes
        from demo import settings
        from demo import terminal
    except ImportError as exc:
        return _cannot(f"{exc}: pip install 'nova-arm-migrate[demo]'")
    from nova_arm_migrate import finder

    finder.install()
    program.quiet()
    started = time.monotonic()
    try:
        terminal.program_path()
        settings.api_paste_config()
        front = frontend.Frontend(arguments.port)
    except (
        frontend.PortInUse,
        settings.InstallationIncomplete,
        terminal.ClientMissing,
    ) as exc:
        return _cannot(str(exc))
    cloud = demo_cloud.Cloud(
        directory,
        front,
        scenes.fleet(),
        settings.DRIVER,
        [settings.FILTER],
    )
    cloud.setUp()
    try:
        shell = terminal.Terminal(cloud.environment)
        api = demo_api.Api(cloud.environment, cloud.finish_live_migrations)
        print(
            f'\nThe cloud is up after {time.monotonic() - started:.0f} s.',
            flush=True,
        )
        if arguments.no_scenes:
            _keep(cloud, directory)
            return 0
        story = scenes.Story(cloud, shell, api)
        story.tell()
        print(
            f'\n{time.monotonic() - started:.0f} s, {shell.commands} commands.'
        )
        for failure in story.failures:
            print(f'FAILED: {failure}', flush=True)
        if arguments.keep:
            story.mend()
            _keep(cloud, directory)
        return 1 if story.failures else 0
    finally:
        cloud.cleanUp()


def _keep(cloud: ty.Any, directory: pathlib.Path) -> None:
    """Print how to use the cloud, and wait for Ctrl-C."""
    programs = str(pathlib.Path(sys.executable).parent)
    exports = '\n'.join(
        f'export {name}={shlex.quote(value)}'
        for name, value in cloud.environment.items()
    )
    print(
        '\nThe cloud stays up, with nova-arm-migrate. To use it:\n\n'
        f'{exports}\n'
        f'export PATH={shlex.quote(programs)}:$PATH\n\n'
        'Ctrl-C ends it.',
        flush=True,
    )
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        print(flush=True)


def _cannot(why: str) -> int:
    print(f'demo: {why}', file=sys.stderr, flush=True)
    return 2


if __name__ == '__main__':
    _status = main()
    sys.stdout.flush()
    # Threads of stopped services may still be waiting for a timer.
    os._exit(_status)
