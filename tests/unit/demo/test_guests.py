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

import json
import unittest

from demo import guests

EVENTS = {
    'events': [
        {
            'event': 'last',
            'host': 'b',
            'result': 'Error',
            'traceback': 'tb',
            'details': 'two\n\nlines',
        },
        {'event': 'first', 'host': 'a', 'result': 'Success', 'details': None},
    ]
}


class TestEvents(unittest.TestCase):
    def test_events_are_listed_in_the_order_they_happened(self) -> None:
        self.assertEqual(
            '- event:   first\n  host:    a\n  result:  Success\n'
            '  details:\n'
            '- event:   last\n  host:    b\n  result:  Error\n'
            '  details: two lines\n'
            '(times, IDs and tracebacks left out)',
            guests.trim_events(json.dumps(EVENTS)),
        )
