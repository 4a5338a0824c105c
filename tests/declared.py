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

"""What ``pyproject.toml`` declares."""

import importlib
import pathlib
from typing import Any
import unittest

ROOT = pathlib.Path(__file__).parents[1]


def project() -> dict[str, Any]:
    """Return the table ``[project]``.

    :raises unittest.SkipTest: on Python 3.10, which has no tomllib
    """
    try:
        # By name: mypy checks for Python 3.10, and would not find it.
        tomllib = importlib.import_module('tomllib')
    except ImportError:
        raise unittest.SkipTest(
            'Python 3.10 cannot read pyproject.toml'
        ) from None
    text = (ROOT / 'pyproject.toml').read_text()
    table: dict[str, Any] = tomllib.loads(text)['project']
    return table
