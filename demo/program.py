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

"""What a program that has the simulated cloud in it does first and last.

Importing this imports nothing of Nova: its thread model is chosen here.
"""

from __future__ import annotations

import logging
import os
import pathlib
import shutil
import signal
import threading


def prepare() -> None:
    """Set up this process, before anything of Nova is imported."""
    os.environ['OS_NOVA_DISABLE_EVENTLET_PATCHING'] = '1'
    for name in [name for name in os.environ if name.startswith('OS_')]:
        if name != 'OS_NOVA_DISABLE_EVENTLET_PATCHING':
            del os.environ[name]
    os.environ['no_proxy'] = os.environ['NO_PROXY'] = '127.0.0.1'
    signal.signal(signal.SIGTERM, signal.default_int_handler)


def quiet() -> None:
    """Keep messages from before the log is open off the screen."""
    logging.lastResort = None
    threading.excepthook = _log_thread_exception


def first_line(exc: BaseException) -> str:
    """Return an exception's first line; fixtures wrap those of setUp."""
    while exc.args and isinstance(exc.args[0], tuple):
        exc = exc.args[0][1]
    text = (str(exc).splitlines() or [''])[0]
    return f'{type(exc).__name__}: {text}'


def leave_logs(directory: pathlib.Path) -> None:
    """Remove all files of a cloud except the logs, and say where they are."""
    for path in directory.iterdir():
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        elif path.suffix != '.log':
            path.unlink(missing_ok=True)
    logs = sorted(directory.iterdir())
    for log in logs:
        print(f'Log of the services: {log}', flush=True)
    if not logs:
        directory.rmdir()


def _log_thread_exception(arguments: threading.ExceptHookArgs) -> None:
    logging.getLogger(__name__).error(
        'in thread %s',
        arguments.thread,
        exc_info=(
            arguments.exc_type,
            arguments.exc_value or arguments.exc_type(),
            arguments.exc_traceback,
        ),
    )
