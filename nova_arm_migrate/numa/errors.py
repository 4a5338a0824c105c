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


"""The errors of the NUMA modules."""


class NumaError(ValueError):
    """A guest's NUMA layout can't be read or used.

    :ivar path: of the element in the domain XML (``/domain/cputune``) or in
        the layout (``layout.cells[0]``)
    :ivar reason: one line
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f'{path}: {reason}')
        self.path = path
        self.reason = reason


class DomainXmlError(NumaError):
    """The domain XML is damaged, hostile or not in libvirt's format."""


class LayoutError(NumaError):
    """The layout is damaged, or does not fit the guest or the host."""


class AbiError(NumaError):
    """What the guest can see would change."""
