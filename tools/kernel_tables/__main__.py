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

"""``python -m tools.kernel_tables TREE...``: check the tables.

Each TREE is an unpacked kernel source, ``GITDIR:REVISION`` of a bare git
repository, or a file of facts that ``--write`` has made. Prints one line for
each difference: what is missing or wrong in the tables, and which of KVM's
functions that check a write differ from the newest kernel that is kept here
(read them, then use ``--write``). Exit code: 0 if there is no difference, 1 if
there is one, 2 for a tree that can't be read. Differences between older
kernels and the newest are printed, but do not count.

Debian's packages ``linux-source-*`` are such trees::

    apt-get download linux-source-7.2
    dpkg-deb --fsys-tarfile linux-source-7.2_*.deb | tar -xO \\
        --wildcards './usr/src/linux-source-*.tar.xz' | tar -xJ
"""

import argparse
from collections.abc import Sequence
import pathlib
import sys

from nova_arm_migrate.core.tables import REGISTERS
from tools.kernel_tables import check
from tools.kernel_tables import facts
from tools.kernel_tables import kernel
from tools.kernel_tables.csource import SourceError

FACTS = pathlib.Path(__file__).parent / 'kernels'


def facts_of(place: str) -> facts.Facts:
    """Return the facts of a tree or of a file.

    :raises SourceError: if it is neither
    """
    path = pathlib.Path(place)
    if path.is_file():
        try:
            return facts.load(path.read_text('ascii'))
        except ValueError as error:
            raise SourceError(f'{place}: {error}') from None
    try:
        return kernel.read(kernel.reader_of(place))
    except SourceError as error:
        raise SourceError(f'{place}: {error}') from None


def kept() -> list[facts.Facts]:
    """Return the facts in the files beside this tool."""
    return [facts_of(str(path)) for path in sorted(FACTS.iterdir())]


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, print, return the exit code."""
    parser = argparse.ArgumentParser(
        prog='python -m tools.kernel_tables',
        description=(__doc__ or '').partition('\n\n')[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        'tree',
        metavar='TREE',
        nargs='*',
        help='default: the files of facts beside this tool',
    )
    parser.add_argument(
        '--write',
        metavar='DIRECTORY',
        type=pathlib.Path,
        help='write the facts of each kernel there',
    )
    parsed = parser.parse_args(arguments)
    try:
        kernels = [facts_of(place) for place in parsed.tree] or kept()
    except SourceError as error:
        print(f'{parser.prog}: {error}', file=sys.stderr)
        return 2
    read = max(kept(), key=lambda one: one.number)
    if parsed.write is not None:
        for one in kernels:
            name = parsed.write / f'linux-{one.series}.tsv'
            name.write_text(facts.dump(one), 'ascii')
    found = check.differences(kernels, REGISTERS, read)
    for difference in found:
        print(difference)
    wrong = [d for d in found if d.kind is not check.Kind.OLDER]
    print(
        f'Linux {", ".join(one.version for one in kernels)}:'
        f' {len(wrong)} missing or wrong,'
        f' {len(found) - len(wrong)} of older kernels'
    )
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
