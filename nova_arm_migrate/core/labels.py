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

"""A host's record as labels of a Kubernetes node.

The keys are those of KubeVirt's node-labeller (``CPUFeatureLabel`` and the
others in its ``api/core/v1/types.go``). On arm64 the node-labeller itself
reads libvirt, which knows few features of Arm CPUs.

There is no ``cpu-model.node.kubevirt.io/``: it says that guests of a named
model can run there, and KVM on Arm has no named models. The labels don't say
to which nodes a guest can move. Only a comparison of the records does.
"""

import re

from nova_arm_migrate.core.cores import core_name
from nova_arm_migrate.core.cores import IMPLEMENTERS
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.traits import CUSTOM_PREFIX
from nova_arm_migrate.core.traits import host_traits
from nova_arm_migrate.core.traits import is_feature
from nova_arm_migrate.core.traits import STANDARD_PREFIX

FEATURE = 'cpu-feature.node.kubevirt.io/'
MODEL = 'host-model-cpu.node.kubevirt.io/'
TIMER = 'cpu-timer.node.kubevirt.io/'
VENDOR = 'cpu-vendor.node.kubevirt.io/'

_TRUE = 'true'
#: Where libvirt's name, which the node-labeller has, is not ours:
#: arm_vendors.xml.
_LIBVIRT = {0x41: 'ARM'}
#: Kubernetes allows letters, digits, these three, and 63 characters.
_NOT_IN_A_NAME = re.compile(r'[^A-Za-z0-9._-]+')
_LONGEST = 63


def node_labels(host: Host) -> dict[str, str]:
    """Return a host's labels, sorted by key.

    :param host: its record. What it could not read has no label.
    """
    labels = {
        FEATURE + _feature(trait): _TRUE
        for trait in host_traits(host)
        if is_feature(trait)
    }
    for core in host.cores:
        labels[MODEL + _name(core_name(core.midr).rsplit(' ', 1)[0])] = _TRUE
        implementer = core.midr >> 24 & 0xFF
        vendor = _LIBVIRT.get(implementer) or IMPLEMENTERS.get(
            implementer, f'{implementer:#04x}'
        )
        labels[VENDOR + _name(vendor)] = _TRUE
    if host.cntfrq:
        labels[TIMER + 'cntfrq-frequency'] = str(host.cntfrq)
    return dict(sorted(labels.items()))


def _feature(trait: str) -> str:
    """Return a feature's name: ``asimd``, ``sve256``."""
    name = trait.removeprefix(STANDARD_PREFIX).removeprefix(CUSTOM_PREFIX)
    # As QEMU and libvirt name vector lengths.
    return re.sub(r'^sve_(?=\d)', 'sve', name.lower())


def _name(text: str) -> str:
    """Return a text as the name in a key."""
    return _NOT_IN_A_NAME.sub('-', text)[:_LONGEST].strip('._-')
