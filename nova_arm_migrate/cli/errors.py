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


"""The error with which a command ends."""


class CommandError(Exception):
    """Bad input, or a host that can't be probed; the text is one line."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str) -> str:
    """Return a text as one line that any terminal can print."""
    plain = text.encode('ascii', 'backslashreplace').decode('ascii')
    return ''.join(c if c.isprintable() else '?' for c in plain)
