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


"""Write a command's output to a file."""

import os

from nova_arm_migrate.cli.errors import CommandError


def replace(path: str, data: bytes) -> None:
    """Replace a file; a reader sees the whole old or the whole new file.

    :raises CommandError: if it can't be written; no temporary file is left
    """
    beside = f'{path}.{os.getpid()}'
    left = False
    try:
        with open(beside, 'xb') as file:
            left = True
            file.write(data)
        os.replace(beside, path)
        left = False
    except (OSError, ValueError) as error:
        cause = getattr(error, 'strerror', None) or error
        raise CommandError(f'{path}: {cause}') from None
    finally:
        if left:
            os.unlink(beside)
