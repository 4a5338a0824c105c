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

"""The end of a command's standard output."""

from collections.abc import Callable
import os
import sys


def written(run: Callable[[], int]) -> int:
    """Run a command, and write all of its standard output.

    :param run: the command; may raise SystemExit, as argparse after its help
    :returns: the exit code of the command
    :raises OSError: if standard output cannot be written
    """
    try:
        return run()
    finally:
        sys.stdout.flush()


def finish() -> None:
    """Write what is left of standard output, or drop it.

    Otherwise Python tries to write it at its exit, reports a second error,
    and exits with 120.
    """
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
