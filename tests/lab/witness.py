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

"""The reports of the program in a guest, and whether the guest is well."""

import collections.abc
import dataclasses
import itertools
import re

# Whole lines only: a line may be cut anywhere, even inside a number.
_LINE = re.compile(
    r'^witness (\d+)((?: [a-z]+=\d+/\d+)*(?: dead=[a-z]+:\d+)*)\n', re.M
)
_WRONG = re.compile(r'^wrong ([a-z]+: .*)$', re.M)
_COMPLAINT = re.compile(
    r'^.*(?:WARNING:|BUG:|Oops|Internal error|Unable to handle|panic'
    r'|undefined instruction|Bad mode|SError).*$',
    re.M,
)
_HOLE = re.compile(r'[\0\r]+')
# These mean a slow machine, not a broken one.
_SLOW = re.compile(r'soft lockup|workqueue lockup|rcu.*stall|hung task')


@dataclasses.dataclass(frozen=True)
class Report:
    """One line of the program.

    :ivar workers: (rounds done, errors seen) by name
    :ivar dead: the signal that ended a worker, by name
    """

    sequence: int
    workers: collections.abc.Mapping[str, tuple[int, int]]
    dead: collections.abc.Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Health:
    """A guest's health; ``reason`` is empty if the guest is well."""

    reason: str = ''

    @property
    def well(self) -> bool:
        return not self.reason


def reports(text: str) -> list[Report]:
    """Return the program's whole lines in a guest's console, in order."""
    found = []
    for match in _LINE.finditer(text.replace('\r', '')):
        workers: dict[str, tuple[int, int]] = {}
        dead: dict[str, int] = {}
        for item in match[2].split():
            name, _, value = item.partition('=')
            if name == 'dead':
                worker, _, signal = value.partition(':')
                dead[worker] = int(signal)
            else:
                rounds, _, wrong = value.partition('/')
                workers[name] = (int(rounds), int(wrong))
        found.append(Report(int(match[1]), workers, dead))
    return found


def complaint(text: str) -> str:
    """Return the first complaint of the guest's kernel, or an empty text."""
    for match in _COMPLAINT.finditer(text.replace('\r', '')):
        if not _SLOW.search(match[0]):
            return match[0].strip()[:160]
    return ''


def _continues(text: str, one: int, following: int) -> bool:
    """Whether a report is the next one.

    Reports between them may only seem to be missing, because the kernel wrote
    a message into their lines.
    """
    return following > one and all(
        re.search(rf'^witness {number}\b', text, re.M)
        for number in range(one + 1, following)
    )


def split(before: str, console: str) -> tuple[str, str]:
    """Return the reports from before a move, and those after it.

    On shared storage both hosts write into one file, which the destination's
    libvirtd truncates. So the file has a hole of zeros before or after the
    destination's output. The last output of the source is also in *before*,
    and some of it is there twice. The line during which the guest moved may be
    in two halves.

    :param before: the whole console as read on the source
    :param console: the present console
    """
    before, console = _HOLE.sub('', before), _HOLE.sub('', console)
    first, then = _numbered(before), _numbered(console)
    last = max(first, default=-1)
    if min(then, default=last + 1) > last:
        return before, console
    # Lines that are not reports count too: the kernel's complaints.
    lines = [
        line
        for line in f'{before}\n{console}'.splitlines()
        if not line.startswith('witness ')
    ]
    lines += [first[number].rstrip('\n') for number in sorted(first)]
    if re.search(rf'^witness {last + 1}\b', before, re.M):
        lines.append(f'witness {last + 1} was cut by the move')
    return (
        '\n'.join(lines) + '\n',
        ''.join(then[number] for number in sorted(then) if number > last),
    )


def _numbered(text: str) -> dict[int, str]:
    return {int(line[1]): line[0] for line in _LINE.finditer(text)}


def judge(before: str, after: str = '') -> Health:
    """Return whether a guest is well.

    :param before: its console before a migration
    :param after: its console on the destination. Both are one text; the move
        may have cut a line in two
    """
    text = before + after
    wrong = _WRONG.search(text.replace('\r', ''))
    if wrong:
        return Health(wrong[1])
    found = reports(text)
    if not found:
        return Health('no report')
    last = found[-1]
    for name, signal in last.dead.items():
        return Health(f'{name} was killed by signal {signal}')
    said = complaint(text)
    if said:
        return Health(f'kernel: {said}')
    for one, following in itertools.pairwise(found):
        if not _continues(text, one.sequence, following.sequence):
            return Health(
                f'report {one.sequence} is followed by {following.sequence}'
            )
    since = len(reports(before)) if after else 0
    fresh = found[since:]
    if len(fresh) < 2:
        return Health('no report after the move' if after else 'one report')
    for name, (rounds, wrongs) in last.workers.items():
        if wrongs:
            return Health(f'{name}: {wrongs} wrong')
        if rounds <= fresh[0].workers[name][0]:
            return Health(f'{name} stands still')
    return Health()
