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

"""The dashboard and the alerts ask for metrics that exist."""

import itertools
import json
import pathlib
import re
from typing import Any
import unittest

from grafana_foundation_sdk.cog import encoder
from grafana_foundation_sdk.cog import plugins
from grafana_foundation_sdk.models.dashboard import Dashboard

from nova_arm_migrate.nova.monitoring import declared

FILES = (
    pathlib.Path(__file__).parents[4] / 'etc' / 'nova-arm-migrate/monitoring'
)
SERIES = {
    name: {label.name for label in metric.labels}
    for metric in declared.ALL
    for name in metric.exposed
}
#: What Prometheus and the type of a metric add.
ADDED = {'instance', 'le'}


def expressions() -> list[str]:
    """The queries of both files."""
    dashboard = json.loads((FILES / 'grafana-dashboard.json').read_text())
    alerts = (FILES / 'prometheus-alerts.yaml').read_text()
    return [
        target['expr']
        for panel in dashboard['panels']
        for target in panel['targets']
    ] + re.findall(r'expr: (?:>-\n)?((?:.+\n)(?: {10}.+\n)*)', alerts)


def kept(given: Any, read: Any) -> Any:
    """Return of what was read the keys that were given."""
    if isinstance(given, dict) and isinstance(read, dict):
        return {
            key: kept(value, read[key])
            for key, value in given.items()
            if key in read
        }
    if isinstance(given, list) and isinstance(read, list):
        return [kept(*pair) for pair in itertools.zip_longest(given, read)]
    return read


class TestSchema(unittest.TestCase):
    def test_grafana_knows_every_key_of_the_dashboard(self) -> None:
        """Read by Grafana's own library, which drops what it does not know."""
        plugins.register_default_plugins()
        given = json.loads((FILES / 'grafana-dashboard.json').read_text())
        read = encoder.JSONEncoder().encode(Dashboard.from_json(given))
        self.assertEqual(given, kept(given, json.loads(read)))


class TestQueries(unittest.TestCase):
    def test_each_metric_and_each_label_exists(self) -> None:
        asked = set()
        for expression in expressions():
            for name, selector in re.findall(
                rf'({declared.PREFIX}\w+)(?:{{(.*?)}})?', expression
            ):
                with self.subTest(expression):
                    self.assertIn(name, SERIES)
                    labels = set(re.findall(r'(\w+)=', selector or ''))
                    self.assertLessEqual(labels, SERIES[name] | ADDED)
                    by = re.search(r'by \((.*?)\)', expression)
                    grouped = set(by[1].split(', ')) if by else set()
                    self.assertLessEqual(grouped, SERIES[name] | ADDED)
                asked.add(name)
        self.assertEqual(set(SERIES), asked)

    def test_values_in_selectors_exist(self) -> None:
        values = {
            label.name: set(label.values)
            for metric in declared.ALL
            for label in metric.labels
            if label.values
        }
        for expression in expressions():
            for label, text in re.findall(r'(\w+)=~?"([\w|]+)"', expression):
                self.assertLessEqual(set(text.split('|')), values[label])

    def test_each_panel_is_identified_and_in_the_grid(self) -> None:
        panels = json.loads((FILES / 'grafana-dashboard.json').read_text())[
            'panels'
        ]
        self.assertEqual(len(panels), len({panel['id'] for panel in panels}))
        cells: set[tuple[int, int]] = set()
        for panel in panels:
            at = panel['gridPos']
            its = {
                (x, y)
                for x in range(at['x'], at['x'] + at['w'])
                for y in range(at['y'], at['y'] + at['h'])
            }
            self.assertFalse(its & cells, panel['title'])
            self.assertLessEqual(at['x'] + at['w'], 24)
            cells |= its
