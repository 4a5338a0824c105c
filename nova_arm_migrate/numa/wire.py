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


"""The text format in which the destination sends a layout to the source."""

from collections.abc import Mapping
import json
from typing import Any

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.numa import cpuset
from nova_arm_migrate.numa.errors import LayoutError
from nova_arm_migrate.numa.layout import Cell
from nova_arm_migrate.numa.layout import GUEST_LIMIT
from nova_arm_migrate.numa.layout import Layout
from nova_arm_migrate.numa.layout import Scheduler

#: Increased when an older reader would misunderstand a newer text.
VERSION = 1

#: Characters. 512 vCPUs, each pinned to the CPUs of a node, need 20,000.
LIMIT = 1 << 18


def dump(layout: Layout) -> str:
    """Return a layout as text; equal layouts give equal texts."""
    record: dict[str, Any] = {'version': VERSION}
    for name in ('vcpus', 'iothreads'):
        pins: Mapping[int, frozenset[int]] = getattr(layout, name)
        record[name] = [
            [number, cpuset.format(cpus)] for number, cpus in pins.items()
        ]
    for name in ('emulator', 'shared'):
        cpus = getattr(layout, name)
        record[name] = None if cpus is None else cpuset.format(cpus)
    record['cells'] = [
        [cell.id, cpuset.format(cell.nodes), cell.mode, cell.page_kib]
        for cell in layout.cells
    ]
    how = layout.scheduler
    record['scheduler'] = (
        None
        if how is None
        else [cpuset.format(how.vcpus), how.policy, how.priority]
    )
    return json.dumps(record, separators=(',', ':'))


def load(text: str) -> Layout:
    """Read a layout that another compute has written.

    :raises LayoutError: if it is damaged, too large, or of a later version
    """
    if len(text) > LIMIT:
        raise LayoutError('layout', f'has more than {LIMIT} characters')
    try:
        record = json.loads(text, object_pairs_hook=forms.unique)
    except ProfileError as error:
        raise LayoutError('layout', str(error)) from None
    except (ValueError, RecursionError):
        raise LayoutError('layout', 'is not JSON') from None
    if not isinstance(record, dict):
        raise LayoutError('layout', 'is not a JSON object')
    version = record.get('version')
    if type(version) is not int or version != VERSION:
        raise LayoutError(
            'layout.version',
            'is not supported by this version of nova-arm-migrate'
            f' (only {VERSION})',
        )
    return Layout(
        vcpus=_pins(record, 'vcpus'),
        emulator=_optional_cpus(record, 'emulator'),
        iothreads=_pins(record, 'iothreads'),
        cells=tuple(_cell(row) for row in _rows(record, 'cells', 4)),
        shared=_optional_cpus(record, 'shared'),
        scheduler=_scheduler(record),
    )


def _rows(record: dict[str, Any], name: str, width: int) -> list[list[Any]]:
    rows = record.get(name)
    if not (isinstance(rows, list) and len(rows) <= GUEST_LIMIT):
        raise LayoutError(f'layout.{name}', 'is not a list')
    for row in rows:
        if not (isinstance(row, list) and len(row) == width):
            raise LayoutError(f'layout.{name}', 'has a malformed entry')
    return rows


def _pins(record: dict[str, Any], name: str) -> dict[int, frozenset[int]]:
    pins: dict[int, frozenset[int]] = {}
    for number, cpus in _rows(record, name, 2):
        if type(number) is not int or number in pins:
            raise LayoutError(f'layout.{name}', 'is not numbered')
        pins[number] = _cpus(f'layout.{name}[{number}]', cpus)
    return pins


def _cpus(path: str, text: Any) -> frozenset[int]:
    if not isinstance(text, str):
        raise LayoutError(path, 'is not a list of numbers')
    try:
        return cpuset.parse(text)
    except ValueError as error:
        raise LayoutError(path, str(error)) from None


def _optional_cpus(record: dict[str, Any], name: str) -> frozenset[int] | None:
    text = record.get(name)
    return None if text is None else _cpus(f'layout.{name}', text)


def _cell(row: list[Any]) -> Cell:
    number, nodes, mode, page_kib = row
    if not isinstance(mode, str):
        raise LayoutError('layout.cells', 'has a mode that is not a word')
    return Cell(number, _cpus('layout.cells.nodes', nodes), mode, page_kib)


def _scheduler(record: dict[str, Any]) -> Scheduler | None:
    row = record.get('scheduler')
    if row is None:
        return None
    if not (
        isinstance(row, list) and len(row) == 3 and isinstance(row[1], str)
    ):
        raise LayoutError('layout.scheduler', 'is malformed')
    vcpus, policy, priority = row
    return Scheduler(_cpus('layout.scheduler.vcpus', vcpus), policy, priority)
