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

"""Pack the code that does not need Nova into one file: ``make zipapp``.

The archive contains ``core``, ``probe`` and ``cli``, and runs on a host that
has only Python 3.10 or newer. The same sources give the same bytes. With
:func:`zipapp.create_archive` they do not: it stores the files' times, and the
entries in the order of the directory.
"""

import argparse
import pathlib
import sys
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = 'nova_arm_migrate'
# The oldest time that a zip entry can have.
ENTRY_TIME = (1980, 1, 1, 0, 0, 0)

# Any Python 3 must be able to parse this, to report a wrong version.
MAIN = """\
import sys

if sys.version_info < (3, 10):
    sys.exit('nova-arm-migrate: Python 3.10 or newer is needed, this is '
             '%d.%d' % sys.version_info[:2])

# An installed copy of the package has been looked at when Python started.
for name in [n for n in sys.modules if n.split('.')[0] == 'nova_arm_migrate']:
    del sys.modules[name]

from nova_arm_migrate.cli.main import main

sys.exit(main())
"""


def build(target: pathlib.Path, root: pathlib.Path = ROOT) -> None:
    """Write the archive to *target*, from the sources under *root*."""
    entries = {
        source.relative_to(root).as_posix(): source.read_bytes()
        for source in _sources(root)
    }
    entries['__main__.py'] = MAIN.encode()
    target.parent.mkdir(parents=True, exist_ok=True)
    with open(target, 'wb') as file:
        file.write(b'#!/usr/bin/env python3\n')
        with zipfile.ZipFile(file, 'w') as archive:
            for name, content in sorted(entries.items()):
                entry = zipfile.ZipInfo(name, ENTRY_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o644 << 16
                archive.writestr(entry, content)
    target.chmod(0o755)


def _sources(root: pathlib.Path) -> list[pathlib.Path]:
    package = root / PACKAGE
    return [
        package / '__init__.py',
        *package.glob('core/**/*.py'),
        *package.glob('probe/**/*.py'),
        *package.glob('cli/**/*.py'),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=(__doc__ or '').partition('\n')[0]
    )
    parser.add_argument('target', type=pathlib.Path)
    target = parser.parse_args().target
    build(target)
    print(f'{target}: {target.stat().st_size} bytes')
    return 0


if __name__ == '__main__':
    sys.exit(main())
