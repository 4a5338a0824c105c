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

"""Say in one line what `make demo` and `make test` lack on this machine.

It runs before anything is installed, on the system's Python: standard library
only. ``bindep.txt`` names the same packages.
"""

import importlib.util
import shutil
import sys
import typing

# program -> the Debian package that contains it
PROGRAMS: typing.Final[dict[str, str]] = {
    'git': 'git',
    # Nova's libvirt driver runs it, and no compute comes up without it.
    'uptime': 'procps',
}
# Python module -> the Debian package that contains it
MODULES: typing.Final[dict[str, str]] = {
    'ensurepip': 'python3-venv',
}


def missing() -> list[str]:
    """Return the names of the Debian packages that are missing, sorted."""
    return sorted(
        {
            package
            for program, package in PROGRAMS.items()
            if shutil.which(program) is None
        }
        | {
            package
            for module, package in MODULES.items()
            if importlib.util.find_spec(module) is None
        }
    )


def main(argv: list[str]) -> int:
    """Print what *argv* ("make demo") needs.

    :returns: 0 if nothing is missing, else 2.
    """
    packages = missing()
    if packages:
        print(
            f'{" ".join(argv)} needs what is not installed: '
            f'apt install {" ".join(packages)}',
            file=sys.stderr,
        )
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
