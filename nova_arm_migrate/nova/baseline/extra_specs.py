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

"""Nova's check of the extra spec ``hw:arm_baseline``.

nova-api loads it by the entry point ``nova.api.extra_spec_validators``. It
refuses every extra spec in the namespace ``hw`` that no check knows.
"""

from nova.api.validation.extra_specs import base

from nova_arm_migrate.nova.baseline.choice import EXTRA_SPEC


def register() -> list[base.ExtraSpecValidator]:
    """Return the checks, as Nova's own modules do."""
    return [
        base.ExtraSpecValidator(
            name=EXTRA_SPEC,
            description=(
                'The guest CPU baseline of Arm64 guests, or ``none`` for the'
                ' CPU of the host. Only the ``arm_migrate`` driver supports'
                ' it.'
            ),
            value={'type': str, 'pattern': r'[A-Za-z0-9._-]{1,64}'},
        )
    ]
