# Licensed under the Apache License, Version 2.0 (the "License"); you may
# not use this file except in compliance with the License. You may obtain
# a copy of the License at
#
#     http://www.apache.org/licenses/LICENSE-2.0
#
# Unless required by applicable law or agreed to in writing, software
# distributed under the License is distributed on an "AS IS" BASIS, WITHOUT
# WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied. See the
# License for the specific language governing permissions and limitations
# under the License.

"""What a scenario says, and what it expects."""

from tests.lab.cloud import cloud as clouds


class Stage:
    """A running scenario on a cloud.

    :ivar failures: the expectations that did not hold
    """

    def __init__(self, cloud: clouds.Cloud, name: str) -> None:
        self.cloud = cloud
        self.name = name
        self.failures: list[str] = []

    def say(self, text: str) -> None:
        print(f'-- {text}', flush=True)

    def expect(self, held: bool, what: str) -> None:
        print(f'   {"ok" if held else "NOT"}: {what}', flush=True)
        if not held:
            self.failures.append(what)
