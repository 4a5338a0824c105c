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


import argparse
import contextlib
import io
import pathlib
import tempfile

import testtools

from tests.lab import errors
from tests.lab.cloud import cli
from tests.lab.cloud import client
from tests.lab.cloud import computes
from tests.lab.cloud import debian
from tests.lab.cloud import image
from tests.lab.cloud import programs
from tests.lab.cloud import scenarios


class TrimmedTest(testtools.TestCase):
    def test_short_text_stays(self) -> None:
        self.assertEqual('a\nb', client.trimmed('a\nb\n'))

    def test_what_was_left_out_is_said(self) -> None:
        text = client.trimmed('\n'.join('abcd'), limit=2)
        self.assertEqual('a\nb\n... (2 lines more)', text)

    def test_wide_lines_are_cut(self) -> None:
        self.assertEqual('abcd...', client.trimmed('abcdefghij', width=7))


class WaitTest(testtools.TestCase):
    def test_returns_when_it_is_so(self) -> None:
        answers = iter([False, '', 3])
        client.wait('it', lambda: next(answers), patience=60, pause=0)
        self.assertEqual([], list(answers))

    def test_names_what_did_not_come(self) -> None:
        wrong = self.assertRaises(
            errors.LabError, client.wait, 'the server', lambda: False, 0, 0
        )
        self.assertIn('the server', str(wrong))


class ChosenTest(testtools.TestCase):
    def test_none_means_all_in_order(self) -> None:
        self.assertEqual(list(scenarios.SCENARIOS), scenarios.chosen([]))

    def test_as_named(self) -> None:
        names = ['newer', 'move']
        self.assertEqual(names, [one.name for one in scenarios.chosen(names)])

    def test_an_unknown_name_is_told_with_the_known(self) -> None:
        wrong = self.assertRaises(errors.LabError, scenarios.chosen, ['mvoe'])
        self.assertIn('mvoe', str(wrong))
        self.assertIn('move', str(wrong))

    def test_without_names_those_whose_hosts_the_cloud_can_have(self) -> None:
        names = {one.name for one in scenarios.chosen([], debian.RELEASE)}
        everything = {one.name for one in scenarios.SCENARIOS}
        self.assertEqual({'upgrade'}, everything - names)

    def test_hosts_that_the_cloud_cannot_have_are_refused(self) -> None:
        wrong = self.assertRaises(
            errors.LabError, scenarios.chosen, ['upgrade'], debian.RELEASE
        )
        self.assertIn('hosts of the cloud have Nova 31', str(wrong))


class LastWordsTest(testtools.TestCase):
    def test_an_error_is_preferred(self) -> None:
        log = 'INFO a\nERROR b\nINFO c\n'
        self.assertEqual('INFO c', computes.last_words('INFO a\nINFO c\n\n'))
        self.assertIn(
            'b', computes.last_words(log.replace('ERROR', ' ERROR '))
        )
        self.assertEqual('nothing', computes.last_words('\n'))

    def test_a_log_that_is_not_there(self) -> None:
        self.assertEqual(
            'no log', programs.last_words(pathlib.Path('/nonexistent/log'))
        )


class ConfigureTest(testtools.TestCase):
    def test_the_start_up_file_adds_both_site_folders(self) -> None:
        with tempfile.TemporaryDirectory() as name:
            root = pathlib.Path(name)
            image.configure(root)
            (pth,) = root.rglob('*.pth')
            lines = pth.read_text().splitlines()
            script = root / 'usr/local/bin/nova-compute'
            self.assertEqual(0o755, script.stat().st_mode & 0o777)
            compile(script.read_text(), 'nova-compute', 'exec')
        # site executes only single lines that begin with "import".
        self.assertEqual(1, len(lines))
        self.assertTrue(lines[0].startswith('import site;'))
        self.assertIn(image.INSIDE, lines[0])
        self.assertIn(image.PROJECT_INSIDE, lines[0])


class ParserTest(testtools.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.parser = argparse.ArgumentParser()
        cli.add_to(self.parser.add_subparsers())

    def test_run_takes_scenarios(self) -> None:
        args = self.parser.parse_args(['cloud', 'run', 'move', '--keep'])
        self.assertEqual(
            (cli.cmd_run, ['move'], True),
            (args.function, args.scenario, args.keep),
        )

    def test_the_clients_options_are_its_own(self) -> None:
        args = self.parser.parse_args(
            ['cloud', 'client', 'server', 'show', '-f', 'json', 'x']
        )
        self.assertEqual(['server', 'show', '-f', 'json', 'x'], args.command)

    def test_the_release_of_nova_is_one_of_the_clouds(self) -> None:
        args = self.parser.parse_args(['cloud', '--nova', '31', 'run', 'move'])
        self.assertEqual(31, args.nova)
        args = self.parser.parse_args(['cloud', 'run', 'move'])
        self.assertIsNone(args.nova)
        with contextlib.redirect_stderr(io.StringIO()) as said:
            self.assertRaises(
                SystemExit,
                self.parser.parse_args,
                ['cloud', '--nova', '33', 'run'],
            )
        # Python 3.14 quotes them.
        self.assertIn('34, 31', said.getvalue().replace("'", ''))

    def test_our_driver_is_the_default(self) -> None:
        args = self.parser.parse_args(['cloud', 'up', 'neoverse-n1'])
        self.assertEqual('ours', args.driver)
