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

import pathlib
import re

import testtools

from tests.lab import places
from tests.lab.cloud import services

ROOT = pathlib.Path(__file__).resolve().parents[2]


def named(*profiles: str) -> set[str]:
    lines = (ROOT / 'bindep.txt').read_text().splitlines()
    matches = (
        re.fullmatch(r'(\S+) \[platform:dpkg (.*)\]', line) for line in lines
    )
    return {
        match[1]
        for match in matches
        if match and set(match[2].split()) & set(profiles)
    }


class BindepTest(testtools.TestCase):
    def test_names_every_package_that_the_lab_asks_for(self) -> None:
        self.assertEqual(set(), set(places.TOOLS.values()) - named('lab'))

    def test_names_every_package_that_its_cloud_asks_for(self) -> None:
        self.assertEqual(
            set(), set(services.TOOLS.values()) - named('lab', 'lab-cloud')
        )
