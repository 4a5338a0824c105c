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
"""The page of a matrix in headless Chromium, driven by its own driver."""

import base64
import dataclasses
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from typing import Any
import unittest
import urllib.request

from nova_arm_migrate.core.matrix import Mark
from nova_arm_migrate.core.matrix import matrix
from nova_arm_migrate.core.page import COLOURS
from nova_arm_migrate.core.page import page
from nova_arm_migrate.core.pools import fleet
from nova_arm_migrate.core.record import dump_host
from nova_arm_migrate.core.record import load_host

PROFILES = pathlib.Path(__file__).parents[1] / 'fixtures' / 'profiles'
V1 = 'neoverse-v1-linux-6.12'
V1_NO_SVE = 'neoverse-v1-no-sve-linux-6.12'
ODD = '<img src=x onerror=alert(1)>\x1b'
ARGUMENTS = (
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--window-size=1200,800',
    '--force-device-scale-factor=1',
)
#: The size of a cell, and where the first one begins in the fleet.
CELL, LEFT, TOP = 24, 230, 46
#: Keys of WebDriver.
RIGHT, DOWN, END, HOME, CONTROL = '\ue014\ue015\ue010\ue011\ue009'


class Browser:
    """A session of WebDriver, the W3C's protocol."""

    def __init__(self, directory: str) -> None:
        self._driver = subprocess.Popen(
            ['chromedriver', '--port=0'],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert self._driver.stdout
        for line in self._driver.stdout:
            if found := re.search(r'started successfully on port (\d+)', line):
                self._url = f'http://127.0.0.1:{found[1]}/session'
                break
        # No proxy for a driver on this machine.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({})
        )
        options = {'args': [*ARGUMENTS, f'--user-data-dir={directory}']}
        session = self._ask(
            'POST',
            '',
            capabilities={
                'alwaysMatch': {
                    'browserName': 'chrome',
                    'goog:chromeOptions': options,
                    'goog:loggingPrefs': {'browser': 'ALL'},
                }
            },
        )
        self._url += f'/{session["sessionId"]}'

    def _ask(self, method: str, path: str, **content: Any) -> Any:
        request = urllib.request.Request(
            self._url + path,
            json.dumps(content).encode() if method == 'POST' else None,
            {'Content-Type': 'application/json'},
            method=method,
        )
        with self._opener.open(request, timeout=60) as answer:
            return json.load(answer)['value']

    def close(self) -> None:
        """End the driver, and with it the browser."""
        os.killpg(self._driver.pid, signal.SIGKILL)
        self._driver.communicate()

    def open(self, path: pathlib.Path) -> None:
        self._ask('POST', '/url', url=path.as_uri())

    def run(self, script: str) -> Any:
        return self._ask('POST', '/execute/sync', script=script, args=[])

    def click(self, x: int, y: int) -> None:
        self._act(
            type='pointer',
            actions=[
                {'type': 'pointerMove', 'x': x, 'y': y},
                {'type': 'pointerDown', 'button': 0},
                {'type': 'pointerUp', 'button': 0},
            ],
        )

    def press(self, *keys: str) -> None:
        """Press keys; all are down before the first is released."""
        down = [{'type': 'keyDown', 'value': key} for key in keys]
        up = [{'type': 'keyUp', 'value': key} for key in keys]
        self._act(type='key', actions=[*down, *up])

    def _act(self, **what: Any) -> None:
        self._ask('POST', '/actions', actions=[{'id': what['type'], **what}])

    def screenshot(self) -> bytes:
        return base64.b64decode(self._ask('GET', '/screenshot'))

    def console(self) -> list[Any]:
        found: list[Any] = self._ask('POST', '/se/log', type='browser')
        return found


@unittest.skipUnless(
    shutil.which('chromium') and shutil.which('chromedriver'),
    'chromium or chromedriver is not installed (bindep -b browser)',
)
class TestPage(unittest.TestCase):
    browser: Browser
    directory: pathlib.Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        made = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)
        cls.addClassCleanup(made.cleanup)
        cls.directory = pathlib.Path(made.name)
        cls.browser = Browser(made.name)
        cls.addClassCleanup(cls.browser.close)

    def tearDown(self) -> None:
        self.assertEqual([], self.browser.console())
        super().tearDown()

    def show(self, records: list[tuple[str, str]]) -> None:
        path = self.directory / 'page.html'
        path.write_text(page(matrix(fleet(records)), 'compare', '.json'))
        self.browser.open(path)

    def few(self) -> None:
        """Show three hosts: two of one record, one without SVE."""
        v1 = (PROFILES / f'{V1}.json').read_text().strip()
        plain = (PROFILES / f'{V1_NO_SVE}.json').read_text().strip()
        self.show([('v1-a', v1), (ODD, v1), ('plain', plain)])

    def details(self) -> str:
        found: str = self.browser.run(
            'return document.getElementById("details").innerText'
        )
        return found

    def at(self, row: int, column: int) -> tuple[int, int]:
        """Return the middle of a cell in the window, from 0."""
        x, y = self.browser.run(
            'const box = document.getElementById("fleet")'
            '.getBoundingClientRect(); return [box.left, box.top]'
        )
        return (
            int(x) + LEFT + column * CELL + CELL // 2,
            int(y) + TOP + row * CELL + CELL // 2,
        )

    def test_a_click_shows_the_fields_and_the_remedy(self) -> None:
        self.few()
        self.browser.click(*self.at(0, 1))
        shown = self.details()
        self.assertIn('incompatible', shown)
        self.assertIn('ID_AA64PFR0_EL1.SVE', shown)
        self.assertIn('Remedy: ', shown)
        self.assertIn('compare v1-a.json plain.json', shown)
        self.browser.click(*self.at(1, 1))
        self.assertIn('compatible', self.details().splitlines()[0])
        self.assertNotIn('Remedy', self.details())

    def test_the_keyboard_selects(self) -> None:
        self.few()
        self.browser.click(*self.at(0, 0))
        self.browser.press(RIGHT)
        self.assertIn('To column 2', self.details())
        self.assertIn('Remedy: ', self.details())
        self.browser.press(DOWN)
        self.assertIn('From row 2', self.details())
        self.browser.press(HOME)
        self.assertIn('To column 1', self.details())
        self.browser.press(END)
        self.assertIn('To column 2', self.details())

    def test_names_are_texts(self) -> None:
        self.few()
        self.browser.click(*self.at(0, 0))
        self.assertIn(ODD.replace('\x1b', '?'), self.details())
        self.assertEqual(0, self.browser.run('return document.images.length'))

    def test_what_people_see(self) -> None:
        from PIL import Image

        self.few()
        self.browser.click(*self.at(0, 0))
        picture = Image.open(io.BytesIO(self.browser.screenshot()))
        for cell, mark in (
            ((0, 1), Mark.INCOMPATIBLE),
            ((1, 1), Mark.COMPATIBLE),
        ):
            x, y = self.at(*cell)
            colour = picture.convert('RGB').getpixel((x - 9, y - 8))
            assert isinstance(colour, tuple)
            self.assertEqual(
                COLOURS[mark], f'#{bytes(map(int, colour)).hex().upper()}'
            )

    def test_500_classes(self) -> None:
        """The page has no element for a cell, so scrolling stays fast."""
        v1 = load_host((PROFILES / f'{V1}.json').read_text())
        self.show(
            [
                (f'h{number}', dump_host(dataclasses.replace(v1, qemu=text)))
                for number in range(500)
                for text in (f'10.0.{number}',)
            ]
        )
        self.assertLess(
            self.browser.run('return document.querySelectorAll("*").length'),
            100,
        )
        self.browser.click(*self.at(0, 0))
        self.browser.press(CONTROL, '\ue00f')
        self.browser.press(END)
        self.assertIn('From row 500', self.details())
        self.assertIn('To column 500', self.details())
        x, y = self.browser.run(
            'const fleet = document.getElementById("fleet");'
            'return [fleet.scrollLeft, fleet.scrollTop]'
        )
        self.assertGreater(min(x, y), 10000)
        self.browser.run(
            'const find = document.getElementById("find");'
            'find.value = "h250"; find.dispatchEvent(new Event("change"))'
        )
        self.assertIn('h250', self.details())
