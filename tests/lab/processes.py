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

A pid alone may have been given to somebody else's process meanwhile.
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
        """The running process *pid*; raises ProcessLookupError if none."""
        started = _start_time(pid)
        if started is None:
            raise ProcessLookupError(pid)
        return cls(pid, started)

    def alive(self) -> bool:
        return _start_time(self.pid) == self.started

    def signal(self, number: int) -> None:
        """Send it signal *number*, if it is still there."""
        if self.alive():
            try:
                os.kill(self.pid, number)
            except ProcessLookupError:
                pass

    def end(self, patience: float = 5.0) -> None:
        """Terminate it, then kill it; return when it is gone."""
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
    """Collect *pid* if it is our child, or it would look alive for ever."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        pass


def _start_time(pid: int) -> int | None:
    """Clock ticks from boot to the start of *pid*, None if it is gone."""
    try:
        text = pathlib.Path(f'/proc/{pid}/stat').read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The second field is a name in brackets that may hold anything.
    fields = text.rpartition(')')[2].split()
    return None if fields[0] == 'Z' else int(fields[19])
