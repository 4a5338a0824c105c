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

"""Nova's services in one process, with our driver and filter.

Importing ``nova.tests.functional`` chooses between eventlet and native
threads for the whole process, and must precede any import of eventlet. Nova
34 uses native threads by default. Importing ``nova.test`` makes oslo.log
print to the terminal; this module undoes that.
"""

import importlib.util
import os

# Before 34 Nova's fixtures need eventlet.
if importlib.util.find_spec('nova.thread_pool_factory') is not None:
    os.environ.setdefault('OS_NOVA_DISABLE_EVENTLET_PATCHING', '1')

# Before eventlet patches `queue`: it uses a name of the original.
import testtools  # noqa: F401

import nova.tests.functional

import nova.test  # noqa: F401
import sqlalchemy.pool

from tests import logs

logs.keep_between_tests()

# With native threads each test has its databases in files. oslo.db opens them
# anew for each transaction, and SQLite then parses the whole schema again: a
# quarter of these tests' time. SQLAlchemy's own choice for files is this pool.
sqlalchemy.pool.NullPool = sqlalchemy.pool.QueuePool  # type: ignore[assignment,misc]
