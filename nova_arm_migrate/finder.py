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

"""Make the driver importable under the name that Nova looks for.

Nova imports only ``nova.virt.<compute_driver>``, and a file in ``nova/virt/``
would hide the whole of an editable Nova. So one entry at the end of
``sys.meta_path`` resolves the single name ``nova.virt.arm_migrate``. It
returns the module object of ``nova_arm_migrate.nova.driver`` itself. So there
is one module and one set of classes, whichever name is imported first.

Every start of a Python interpreter that has the package installed reads this
module (``nova_arm_migrate.pth``). So it imports neither Nova, eventlet nor
oslo, and from the standard library only what the interpreter has loaded.
"""

import importlib
from importlib import machinery
import sys
from types import ModuleType

ALIAS = 'nova.virt.arm_migrate'
TARGET = 'nova_arm_migrate.nova.driver'


class _AliasLoader:
    """Loads :data:`TARGET` and leaves it in ``sys.modules`` as the alias."""

    def create_module(self, spec: machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        # After a loader returns, the import system uses the module in
        # sys.modules. If create_module() returned the target instead, the
        # import system would overwrite the target's own __spec__.
        sys.modules[ALIAS] = importlib.import_module(TARGET)


class ArmMigrateFinder:
    """A ``sys.meta_path`` entry for :data:`ALIAS` only."""

    @staticmethod
    def find_spec(
        fullname: str,
        path: object = None,
        target: ModuleType | None = None,
    ) -> machinery.ModuleSpec | None:
        if fullname != ALIAS:
            return None
        return machinery.ModuleSpec(ALIAS, _AliasLoader(), origin=TARGET)  # type: ignore[arg-type]


def install() -> None:
    """Put the finder at the end of ``sys.meta_path``, once.

    It is at the end so that a real ``nova/virt/arm_migrate.py`` takes
    precedence. The entry is found by its name, not by its identity, because a
    reload of this module creates a new class with the same name.
    """
    if not any(_is_ours(entry) for entry in sys.meta_path):
        sys.meta_path.append(ArmMigrateFinder)


def uninstall() -> None:
    """Remove the finder from ``sys.meta_path``; modules stay loaded."""
    sys.meta_path[:] = [
        entry for entry in sys.meta_path if not _is_ours(entry)
    ]


def _is_ours(entry: object) -> bool:
    return (
        getattr(entry, '__module__', None) == __name__
        and getattr(entry, '__qualname__', None) == 'ArmMigrateFinder'
    )
