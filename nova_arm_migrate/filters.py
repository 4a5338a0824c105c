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

"""The scheduler's filter, by the name that operators write.

``[filter_scheduler] available_filters`` has
``nova_arm_migrate.filters.ArmMigrateFilter``, and ``enabled_filters`` has
``ArmMigrateFilter``.
"""

from nova_arm_migrate.nova.scheduler.arm_filter import ArmMigrateFilter

__all__ = ['ArmMigrateFilter']
