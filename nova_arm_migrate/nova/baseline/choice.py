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

"""Which baseline a guest gets: extra spec, image property, pool option.

Nova keeps only the image properties that it knows in ``ImageMetaProps``. It
copies all of them to the server's ``system_metadata`` when the server is made
(``nova.utils.get_system_metadata_from_image``), so ours is read there. It is
then the property of the server's own image also while the server is rescued.
"""

from collections.abc import Mapping
from typing import Any

EXTRA_SPEC = 'hw:arm_baseline'
IMAGE_PROPERTY = 'hw_arm_baseline'
_SYSTEM_METADATA = f'image_{IMAGE_PROPERTY}'

#: A flavor or image that asks for no baseline, whatever the pool has.
NONE = 'none'


def of_flavor(flavor: Any) -> str:
    """Return the baseline that a flavor names; empty if it names none."""
    specs: Mapping[str, str] = flavor.get('extra_specs') or {}
    return specs.get(EXTRA_SPEC, '')


def wanted(instance: Any, pool: str, flavor: Any = None) -> str:
    """Return the name of a guest's baseline; empty for the host's own CPU.

    :param pool: the option's value
    :param flavor: that the guest gets; None for its own
    """
    name = (
        of_flavor(instance.flavor if flavor is None else flavor)
        or instance.system_metadata.get(_SYSTEM_METADATA, '')
        or pool
    )
    return '' if name == NONE else name
