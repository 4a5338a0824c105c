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

"""Every call of a live migration fails once, with our driver.

See `campaign` for the method, and for a comparison with the stock driver.
"""

from collections.abc import Callable
from collections.abc import Sequence
import unittest

from tests.functional import base
from tests.functional import campaign
from tests.functional import campaign_points


class TestCampaign(unittest.TestCase):
    def test_there_are_enough_points(self) -> None:
        self.assertGreaterEqual(len(campaign_points.POINTS), 60)
        names = [point.name for point in campaign_points.POINTS]
        self.assertEqual(len(names), len({*names}))

    def test_this_nova_has_nearly_all_of_them(self) -> None:
        here = [point for group in campaign.GROUPS.values() for point in group]
        # One call was added in Nova 33.
        self.assertLessEqual(len(campaign_points.POINTS) - len(here), 1)


def _test(
    points: Sequence[campaign_points.Point],
) -> Callable[[unittest.TestCase], None]:
    def test(self: unittest.TestCase) -> None:
        broken, not_reached = [], []
        for point, result in zip(points, campaign.run(points, base.OURS)):
            if result.broken(point):
                broken.append(result)
            if campaign.NOT_REACHED in result.outcome and not point.stock:
                not_reached.append(result)
        self.assertEqual([], broken, '\n'.join(map(str, broken)))
        # A point that is not reached proves nothing.
        self.assertEqual([], not_reached)

    return test


for _name, _group in campaign.GROUPS.items():
    setattr(TestCampaign, f'test_{_name}', _test(_group))
