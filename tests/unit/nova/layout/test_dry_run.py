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
import tempfile

from nova_arm_migrate.nova.layout import dry_run
from nova_arm_migrate.numa import parse
from tests.unit.nova.layout.base import NumaTestCase


class TestSchema(NumaTestCase):
    def setUp(self) -> None:
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = pathlib.Path(folder.name) / 'domain.rng'
        self.path.write_text("""
            <element name="domain" xmlns="http://relaxng.org/ns/structure/1.0">
              <element name="vcpu"><text/></element></element>""")
        self.good = parse.parse_domain('<domain><vcpu>1</vcpu></domain>')
        self.bad = parse.parse_domain('<domain><vgpu>1</vgpu></domain>')

    def test_what_it_allows(self) -> None:
        schema = dry_run.Schema(self.path)
        self.assertIsNone(schema.fault(self.good, self.good))

    def test_what_it_does_not(self) -> None:
        schema = dry_run.Schema(self.path)
        fault = schema.fault(self.bad, self.good)
        self.assertIn('vgpu', str(fault))

    def test_what_was_so_before(self) -> None:
        schema = dry_run.Schema(self.path)
        with self.logged() as logs:
            self.assertIsNone(schema.fault(self.bad, self.bad))
        self.assertIn('schema fault too', logs.output[0])

    def test_no_schema(self) -> None:
        for text in (None, '<element'):
            if text is None:
                self.path.unlink()
            else:
                self.path.write_text(text)
            with self.logged() as logs:
                self.assertIsNone(
                    dry_run.Schema(self.path).fault(self.bad, self.good)
                )
            self.assertIn("cannot read libvirt's schema", logs.output[0])
