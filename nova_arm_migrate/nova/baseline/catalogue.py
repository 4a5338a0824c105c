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

"""The baselines of this host's files, and which of them this host offers."""

from collections.abc import Callable
from collections.abc import Mapping
import dataclasses
import pathlib

from oslo_log import log as logging

from nova_arm_migrate.core import baseline_file
from nova_arm_migrate.core import crossing
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.crossing_words import brief
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Host

LOG = logging.getLogger(__name__)

_SUFFIX = '.json'
#: Between name and version of an older one; no name can have it.
_OLDER = '@'
#: Reasons that are named in one line.
_MOST_REASONS = 3
_HERE = 'this host'


@dataclasses.dataclass(frozen=True, slots=True)
class Files:
    """What a directory has.

    :ivar baselines: by name; older versions by name and version
    :ivar bad: why a file is not used, in one line, by the file's name without
        the suffix
    """

    baselines: Mapping[str, CpuBaseline]
    bad: Mapping[str, str]


def read(directory: str) -> Files:
    """Read the files of a directory; one that is not there has none.

    ``NAME.json`` has the version with which guests start, and
    ``NAME@VERSION.json`` an older one on which guests still run. A file that
    cannot be used is reported and left out. Nothing is raised.
    """
    found: dict[str, CpuBaseline] = {}
    bad: dict[str, str] = {}
    # An older version is compared with the newest one.
    for path in sorted(
        pathlib.Path(directory).glob('*' + _SUFFIX),
        key=lambda path: (_OLDER in path.stem, path),
    ):
        try:
            baseline = _read(path)
            if _OLDER not in path.stem:
                found[baseline.name] = baseline
                continue
            newest = found.get(baseline.name)
            if newest is None or newest.version <= baseline.version:
                raise ProfileError(
                    f'version: {baseline.name}{_SUFFIX} has no newer one'
                )
            found[baseline.identity] = baseline
        except (OSError, ProfileError) as error:
            bad[path.stem] = f'{path}: {_reason(error)}'
    return Files(found, bad)


def _read(path: pathlib.Path) -> CpuBaseline:
    try:
        # One character more than is allowed, so that `load` refuses it.
        with path.open(encoding='utf-8') as file:
            text = file.read(baseline_file.LONGEST + 1)
    except UnicodeDecodeError:
        raise ProfileError('file is not UTF-8') from None
    baseline = baseline_file.load(text)
    name, at, version = path.stem.partition(_OLDER)
    if baseline.name != name:
        raise ProfileError(
            f'name: {baseline.name} is not the name of the file'
        )
    if at and str(baseline.version) != version:
        raise ProfileError(
            f'version: {baseline.version} is not in the name of the file'
        )
    return baseline


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror)
    if isinstance(error, baseline_file.BaselineError):
        return joined(error.problems)
    return str(error)


def joined(reasons: tuple[str, ...] | list[str]) -> str:
    """Return reasons in one line, the first ones in full."""
    text = '; '.join(reasons[:_MOST_REASONS])
    more = len(reasons) - _MOST_REASONS
    return f'{text} (and {more} more)' if more > 0 else text


@dataclasses.dataclass(frozen=True, slots=True)
class Offered:
    """The baselines that a host offers.

    :ivar baselines: by name; older versions by name and version
    :ivar refused: why the host does not offer a baseline, in one line, by the
        same keys or the name of the file
    """

    baselines: Mapping[str, CpuBaseline]
    refused: Mapping[str, str]

    @property
    def identities(self) -> frozenset[str]:
        """Names and versions, as in `Host.baselines`."""
        return frozenset(one.identity for one in self.baselines.values())

    @property
    def digests(self) -> tuple[tuple[str, str], ...]:
        """Their contents, as in `Host.baseline_digests`."""
        return tuple(
            sorted(
                (one.identity, one.digest) for one in self.baselines.values()
            )
        )

    def find(self, name: str) -> CpuBaseline | str:
        """Return a baseline, or why this host does not offer it.

        :param name: with a version, as in `Guest.baseline`, or without one:
            then the newest version
        """
        if name in self.baselines:
            return self.baselines[name]
        if name in self.refused:
            return self.refused[name]
        name, slash, version = name.partition('/')
        if not slash:
            return f'{_HERE} has no file of this name'
        found = self.find(name)
        if isinstance(found, CpuBaseline) and str(found.version) != version:
            return f'{_HERE} has version {found.version}, not {version}'
        return found


def offered(
    files: Files,
    host: Host | str,
    way: Callable[[CpuBaseline, Host], str | None],
) -> Offered:
    """Return which baselines a host offers.

    :param host: its profile without baselines, or why there is none
    :param way: returns why no back end gives guests the baseline; None if
        one does
    """
    good: dict[str, CpuBaseline] = {}
    refused = dict(files.bad)
    for name, baseline in files.baselines.items():
        reason = (
            host
            if isinstance(host, str)
            else _above(baseline, host) or way(baseline, host)
        )
        if reason:
            refused[name] = reason
        else:
            good[name] = baseline
    return Offered(good, refused)


def _above(baseline: CpuBaseline, host: Host) -> str:
    """Return why a host cannot be a member of the pool; empty if it can."""
    return joined(
        [brief(one, _HERE) for one in crossing.refusals(baseline, host)]
    )


def log(found: Offered, default: str) -> None:
    """Log once what a host offers, and one line for each that it does not.

    :param default: the baseline that guests have who name none
    """
    if found.baselines:
        LOG.info(
            'This host offers the guest CPU baselines: %s',
            ', '.join(sorted(found.identities)),
        )
    for name, reason in sorted(found.refused.items()):
        LOG.error(
            'This host does not offer the guest CPU baseline %(name)s:'
            ' %(reason)s. No guest with it starts here or moves here; other'
            ' guests are not affected.',
            {'name': name, 'reason': reason},
        )
    if default and default not in {*found.baselines, *found.refused}:
        LOG.error(
            '[arm_migrate] baseline is %s, and baseline_directory has no file'
            ' of that name. No guest without a baseline of its own starts'
            ' here.',
            default,
        )
