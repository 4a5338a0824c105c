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

"""Say in one line what is wrong with the installed release of Nova, if any.

plugin.sh runs this with the Python that Nova is installed for. Exit code: 0 if
the release is supported, or newer (the line is a warning then); 1 if not.
"""

import sys


def main() -> int:
    try:
        from nova import version

        from nova_arm_migrate.nova import release
    except Exception as error:
        print(f'{sys.executable} cannot import Nova: {error!r:.200}')
        return 1
    number = release.installed()
    oldest, newest = release.SUPPORTED[0].number, release.SUPPORTED[-1].number
    if number is not None and number >= oldest:
        print(release.complaint())
        return 0
    text = (
        f'nova-arm-migrate supports Nova {oldest} to {newest}, not'
        f' {version.version_string()}'
    )
    if number == 0:
        text += '; clone Nova with its tags, without GIT_DEPTH'
    print(text)
    return 1


if __name__ == '__main__':
    sys.exit(main())
