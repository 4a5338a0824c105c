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

"""Helpers of Nova's functional tests, the same with every Nova."""

from collections.abc import Iterator
import time
from typing import Any

#: How often a state is read before a test fails. Nova's 10 are too few on a
#: busy machine.
_POLLS = 120
#: Seconds between two readings. Each pause is longer than the one before.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5


def polls(most: int = _POLLS) -> Iterator[None]:
    """Yield *most* times, with a pause after each: first a short one."""
    pause = _FIRST_PAUSE
    for _ in range(most):
        yield
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE)


class NovaHelpers:
    """Precedes Nova's test base, and does what Nova 34's helpers do.

    In older releases they lack arguments, and wait for a notification that
    Nova does not send if the action fails.
    """

    api: Any
    notifier: Any
    fail: Any

    def _wait_for_server_parameter(
        self,
        server: dict[str, Any],
        expected_params: dict[str, Any],
        max_retries: int = _POLLS,
        api: Any = None,
        wait_for_fault_key: bool = True,
    ) -> dict[str, Any]:
        """Wait until the API shows a server with these values.

        :param wait_for_fault_key: of a server in ERROR; Nova records the
            fault after the status
        """
        api = api or getattr(self, 'admin_api', self.api)
        fault = wait_for_fault_key and expected_params.get('status') == 'ERROR'
        for _ in polls(max(max_retries, _POLLS)):
            server = api.get_server(server['id'])
            if ('fault' in server or not fault) and all(
                server[key] == value for key, value in expected_params.items()
            ):
                return server
        self.fail(
            f'the server does not become {expected_params}'
            f'{" with a fault" if fault else ""}: {server}'
        )
        raise AssertionError('never reached')

    def _wait_for_state_change(
        self,
        server: dict[str, Any],
        expected_status: str,
        max_retries: int = _POLLS,
        wait_for_fault_key: bool = True,
    ) -> dict[str, Any]:
        return self._wait_for_server_parameter(
            server,
            {'status': expected_status},
            max_retries,
            wait_for_fault_key=wait_for_fault_key,
        )

    def _reboot_server(
        self,
        server: dict[str, Any],
        hard: bool = False,
        expected_state: str = 'ACTIVE',
        api: Any = None,
    ) -> dict[str, Any]:
        (api or self.api).post_server_action(
            server['id'], {'reboot': {'type': 'HARD' if hard else 'SOFT'}}
        )
        if expected_state != 'ERROR':
            self.notifier.wait_for_versioned_notifications(
                'instance.reboot.end'
            )
        return self._wait_for_state_change(server, expected_state)

    def _migrate_server(
        self,
        server: dict[str, Any],
        host: str | None = None,
        expected_state: str = 'VERIFY_RESIZE',
        api: Any = None,
    ) -> dict[str, Any]:
        (api or self.api).post_server_action(
            server['id'], {'migrate': {'host': host} if host else None}
        )
        return self._wait_for_state_change(server, expected_state)
