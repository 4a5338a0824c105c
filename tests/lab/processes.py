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

"""Processes of the lab, known by pid and start time.

With a pid alone, another process may have got the same pid since then.
"""

import dataclasses
import os
import pathlib
import signal
import time


@dataclasses.dataclass(frozen=True)
class Process:
    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> 'Process':
        """Return the running process *pid*; ProcessLookupError if none."""
        started = _start_time(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send signal *number*, if the process still exists."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end(self, patience: float = 5.0) -> None:
        """Terminate the process, then kill it; return when it has ended."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.alive():
                return
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                return
            deadline = time.monotonic() + patience
            while self.alive() and time.monotonic() < deadline:
                _reap(self.pid)
                time.sleep(0.02)


def _reap(pid: int) -> None:
    """Reap *pid* if it is our child; otherwise it would seem alive."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _start_time(pid: int) -> int | None:
    """Return the start of *pid* in clock ticks since boot, None if gone."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is a name in brackets, with any characters.
    fields = text.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else int(fields[19])
