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

"""An end for a test that hangs.

Nova's own time-out raises in the main thread. A test whose clean-up waits for
another thread hangs all the same, and a run with it until somebody kills it.
"""

import faulthandler
import gc
import sys
import traceback
from typing import Any

import fixtures

#: Seconds; some ten times what the longest test takes.
LIMIT = 900

#: How much earlier the stacks of green threads are printed, in seconds.
_BEFORE = 5


class Watchdog(fixtures.Fixture):
    """Prints the stacks of all threads and ends the worker, after `LIMIT`.

    Used before all other fixtures, so that it watches their clean-up, too.
    The test runner then tells the worker as failed.
    """

    def _setUp(self) -> None:
        self._timer: Any = None
        self.addCleanup(self._stop)
        self.again()

    def again(self) -> None:
        """Begin anew, in a test of many parts."""
        self._stop()
        # Nova's fixtures put something else in the place of sys.stderr.
        assert sys.__stderr__
        faulthandler.dump_traceback_later(
            LIMIT, exit=True, file=sys.__stderr__
        )
        if 'eventlet' not in sys.modules:
            return
        # faulthandler sees one thread, the hub's.
        from eventlet import patcher

        self._timer = patcher.original('threading').Timer(
            LIMIT - _BEFORE, print_green_threads
        )
        self._timer.daemon = True
        self._timer.start()

    def _stop(self) -> None:
        faulthandler.cancel_dump_traceback_later()
        if self._timer is not None:
            self._timer.cancel()


def print_green_threads() -> None:
    """Print where each suspended green thread of this process is."""
    import greenlet

    for found in gc.get_objects():
        if isinstance(found, greenlet.greenlet) and found.gr_frame:
            print(f'\n{found}:', file=sys.__stderr__)
            traceback.print_stack(found.gr_frame, file=sys.__stderr__)
