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


"""Read profiles from files; their content is not trusted."""

import sys

from nova_arm_migrate.cli.errors import CommandError
from nova_arm_migrate.cli.errors import one_line
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.record import load
from nova_arm_migrate.core.record import load_host
from nova_arm_migrate.core.record import LONGEST
from nova_arm_migrate.core.vcpu import guest_started_on
from nova_arm_migrate.core.vcpu import with_own_gic

STANDARD_INPUT = '-'


def read_text(path: str) -> str:
    """Return a record's text.

    :param path: of a file; ``-`` for standard input
    :raises CommandError: if it can't be read, is too long or no text
    """
    return read_bounded(path, LONGEST, 'a profile')


def read_bounded(path: str, longest: int, what: str) -> str:
    """Return a file's text, without surrounding white space.

    :param path: of a file; ``-`` for standard input
    :param longest: the limit in bytes
    :param what: the expected content, for the error message
    :raises CommandError: if it can't be read, is too long or no text
    """
    try:
        if path == STANDARD_INPUT:
            data = sys.stdin.buffer.read(longest + 1)
        else:
            with open(path, 'rb') as file:
                data = file.read(longest + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, 'strerror', None) or error
        raise CommandError(f'{path}: {reason}') from None
    if len(data) > longest:
        raise CommandError(f'{path}: longer than {longest} bytes: not {what}')
    try:
        return data.decode('ascii').strip()
    except UnicodeDecodeError:
        raise CommandError(f'{path}: not a text: not {what}') from None


def read_host(path: str) -> Host:
    """Return a host's profile.

    :raises CommandError: if there is none in the file
    """
    try:
        return load_host(read_text(path))
    except ProfileError as error:
        raise CommandError(f'{path}: {error}') from None


def read_record(path: str) -> Host | Guest:
    """Return the profile of a host or of a guest.

    :raises CommandError: if there is none in the file
    """
    try:
        return load(read_text(path))
    except ProfileError as error:
        raise CommandError(f'{path}: {error}') from None


def read_guest(path: str) -> Guest:
    """Return a guest's profile, or the one of a guest started on a host.

    :raises CommandError: if there is no profile in the file
    """
    return guest_of(read_record(path))


def guest_of(record: Host | Guest) -> Guest:
    """Return the guest of a record: a guest's own, or one started there."""
    return (
        with_own_gic(record)
        if isinstance(record, Guest)
        else guest_started_on(record)
    )


def host_name(path: str) -> str:
    """Return the host's name from a file's name: ``a`` for dir/a.json."""
    name = path.rsplit('/', 1)[-1].removesuffix('.json')
    return one_line(name) or one_line(path)
