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

"""``nova-compute-arm64``: nova-compute that can find the driver.

Use it where Python does not read the start-up files in site-packages
(``python -S``, some frozen or container builds), that is, where
``nova_arm_migrate.pth`` has no effect.
"""

import os
import sys

from nova_arm_migrate import finder


def main() -> int | None:
    """Run ``nova.cmd.compute:main``.

    :returns: what nova-compute returns; 1 if Nova is not installed.
    """
    finder.install()
    # oslo.config finds nova-compute.conf by the program's name.
    directory = os.path.dirname(sys.argv[0])
    sys.argv[0] = os.path.join(directory, 'nova-compute')
    try:
        import nova
    except ImportError as error:
        print(
            f'nova-compute-arm64: Nova cannot be imported: {error}; '
            'install nova into the environment of this script',
            file=sys.stderr,
        )
        return 1
    del nova
    # This import chooses the concurrency mode of the process. Do it only when
    # it is certain that the service will run.
    from nova.cmd import compute

    result: int | None = compute.main()
    return result
