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

"""Let Nova load the driver under the name it looks for.

Nova imports ``nova.virt.<compute_driver>`` and nothing else, and a file put
into ``nova/virt/`` would shadow the whole of an editable Nova. So one entry
at the end of ``sys.meta_path`` resolves the single name
``nova.virt.arm_migrate``, and resolves it to the very module object
``nova_arm_migrate.nova.driver``: one module, one set of classes,
whichever name was imported first.

This module is read whenever a Python interpreter starts beside the package
(``nova_arm_migrate.pth``). It imports neither Nova, eventlet nor oslo, and
nothing of the standard library that the interpreter has not loaded already.
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
        # The import system hands out whatever sys.modules holds once a loader
        # is done; handing it the target from create_module() instead would
        # overwrite the target's own __spec__.
        sys.modules[ALIAS] = importlib.import_module(TARGET)


class ArmMigrateFinder:
    """A ``sys.meta_path`` entry for :data:`ALIAS` alone."""

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

    At the end, so that a real ``nova/virt/arm_migrate.py`` would win. Entries
    are told apart by name, not by identity: a reload of this module makes a
    new class of the same name.
    """
    if not any(_is_ours(entry) for entry in sys.meta_path):
        sys.meta_path.append(ArmMigrateFinder)


def uninstall() -> None:
    """Take the finder out of ``sys.meta_path``; modules stay loaded."""
    sys.meta_path[:] = [
        entry for entry in sys.meta_path if not _is_ours(entry)
    ]


def _is_ours(entry: object) -> bool:
    return (
        getattr(entry, '__module__', None) == __name__
        and getattr(entry, '__qualname__', None) == 'ArmMigrateFinder'
    )
