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

"""Build with pbr, and ship the start-up file of the import finder.

``nova_arm_migrate.pth`` has to lie directly in site-packages, where no
package-data option reaches. A wheel gets it through ``build_py``; an editable
wheel, which holds no built files, has it added once it is written. In both it
is listed in RECORD, so that ``pip uninstall`` removes it.
"""

import base64
import hashlib
import os
import pathlib
import zipfile

import setuptools
from setuptools.command import build_py
from setuptools.command import editable_wheel

PTH = 'nova_arm_migrate.pth'
SOURCE = pathlib.Path('nova_arm_migrate') / PTH


class BuildPyWithPth(build_py.build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            self.copy_file(str(SOURCE), os.path.join(self.build_lib, PTH))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return [
            *super().get_outputs(include_bytecode),
            os.path.join(self.build_lib, PTH),
        ]


class EditableWheelWithPth(editable_wheel.editable_wheel):
    def run(self) -> None:
        dist_dir = pathlib.Path(self.dist_dir or 'dist')
        before = set(dist_dir.glob('*.whl'))
        super().run()
        for wheel in set(dist_dir.glob('*.whl')) - before:
            _add_to_wheel(wheel, PTH, SOURCE.read_bytes())


def _add_to_wheel(wheel: pathlib.Path, name: str, content: bytes) -> None:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    row = f'{name},sha256={digest.rstrip(b"=").decode()},{len(content)}\n'
    partial = wheel.with_suffix('.partial')
    with (
        zipfile.ZipFile(wheel) as old,
        zipfile.ZipFile(partial, 'w', zipfile.ZIP_DEFLATED) as new,
    ):
        new.writestr(name, content)
        for entry in old.infolist():
            data = old.read(entry)
            if entry.filename.endswith('.dist-info/RECORD'):
                data = row.encode() + data
            new.writestr(entry, data)
    partial.replace(wheel)


class Distribution(setuptools.Distribution):
    def finalize_options(self) -> None:
        super().finalize_options()
        # Only now: pbr puts its own commands in place of the whole mapping.
        self.cmdclass.update(
            build_py=BuildPyWithPth, editable_wheel=EditableWheelWithPth
        )


setuptools.setup(
    setup_requires=['pbr>=6.1.1'], pbr=True, distclass=Distribution
)
