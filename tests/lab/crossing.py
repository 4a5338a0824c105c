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

"""Guests on a baseline, moved between hosts with different CPU models.

Each pair of hosts gets the greatest baseline that both take. A guest starts
on it through the shim, moves to the other host, is reset there, and moves
back. It must see the CPU of the baseline at its start and after the reset.

Where no baseline exists, the guest is started all the same, with the greatest
common values. KVM must refuse it on one of the two hosts. What no host refuses
at the start (the timer's frequency, mitigation levels) must stop or break the
guest when it moves there and back.
"""

import collections.abc
import csv
import dataclasses
import itertools
import pathlib
import re
import subprocess
import tempfile
import time

from nova_arm_migrate.core import crossing
from nova_arm_migrate.core import profile
from nova_arm_migrate.core import shim
from nova_arm_migrate.core.cpu_baseline import CpuBaseline
from nova_arm_migrate.core.tables.features import FEATURES
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab import places
from tests.lab import spec
from tests.lab import table

TOP = pathlib.Path(__file__).parents[2]
# Where a host has the library. AppArmor's profiles permit this folder.
LIBRARY = '/usr/lib/aarch64-linux-gnu/nova-arm-baseline.so'
MODELS = tuple(
    f'{model}@next'
    for model in (
        'cortex-a72',
        'cortex-a76',
        'cortex-a710',
        'neoverse-n1',
        'neoverse-v1',
        'neoverse-n2',
        'a64fx',
        # With the timer's frequency that the others have.
        'max,cntfrq=62500000',
    )
)
# Kernel pools: the same core with each kernel. QEMU is another one, too.
KERNELS = (
    'neoverse-n1@bookworm',
    *(
        f'{model}@{generation}'
        for model in (
            'neoverse-n1',
            'cortex-a72',
            'cortex-a76',
            'cortex-a710',
            'neoverse-v1',
            'neoverse-n2',
            'a64fx',
        )
        for generation in ('bookworm-backports', 'trixie', 'next')
    ),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """One ordered pair.

    :ivar baseline: ``exists`` or ``none``
    :ivar off: the vCPU features that the baseline switches off
    :ivar outcome: of the move there, the reset there, and the move back.
        Without a baseline: which host refused to start the guest, or on which
        way it was refused or broken
    :ivar sees: whether the guest sees the baseline's CPU at its start and
        after the reset: ``yes``, ``no`` or ``-``
    :ivar seconds: of the move there, as libvirt's client measures it
    :ivar why: the first field that prevents a baseline, or what went wrong
    """

    source: str
    destination: str
    baseline: str
    off: str
    outcome: str
    sees: str = '-'
    seconds: str = '-'
    why: str = ''

    @property
    def agrees(self) -> bool:
        """Whether the real hosts did what the baseline's rule says."""
        if self.baseline == 'exists':
            return self.outcome == table.HEALTHY and self.sees == 'yes'
        return self.outcome.startswith(
            ('not started on', table.REFUSED, 'broken')
        )


def compile_shim(to: pathlib.Path) -> pathlib.Path:
    """Compile the library for the hosts.

    :raises LabError: with the compiler's last line
    """
    library = to / 'nova-arm-baseline.so'
    done = subprocess.run(
        ['make', '--silent', 'shim', f'SHIM={library}'],
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise errors.LabError(
            f'compiling the shim: {guests.last_line(done.stderr)}'
        )
    return library


class Crossing:
    """The hosts of one run; all are paused except those in use.

    :ivar done: pairs to leave out
    :ivar kernels: whether only pairs of the same core are done
    """

    def __init__(
        self,
        lab: hosts.Lab,
        specs: collections.abc.Sequence[spec.Spec],
        done: collections.abc.Set[tuple[str, str]],
        kernels: bool = False,
    ) -> None:
        self.lab = lab
        self.specs = specs
        self.done = done
        self.kernels = kernels
        self.hosts: list[hosts.Host] = []
        self.profiles: dict[str, profile.Host] = {}

    def start(self) -> None:
        """Start the hosts, two at a time, and probe them."""
        with tempfile.TemporaryDirectory() as folder:
            library = compile_shim(pathlib.Path(folder))
            for host in oracle.started(self.lab, self.specs):
                host.channel.put(library, LIBRARY)
                self.profiles[host.name] = oracle.host_profile(host)
                self.hosts.append(host)
                places.say(f'{host.spec}: probed')
        guests.same_kernel(self.hosts)

    def baseline_of_all(self) -> CpuBaseline:
        """Return the baseline that all hosts have in common.

        :raises LabError: if there is none, with the fields that prevent it
        """
        found = acknowledged([self.profiles[host.name] for host in self.hosts])
        if not found.taken:
            raise errors.LabError(
                'no common baseline: '
                + '; '.join(
                    refusal.finding.name for _, refusal in found.refusals
                )
            )
        return found.baseline

    def rows(self) -> collections.abc.Iterator[Row]:
        """Move guests; yield a row for each ordered pair when it is done."""
        for one, other in itertools.permutations(self.hosts, 2):
            if (str(one.spec), str(other.spec)) in self.done:
                continue
            if self.kernels and one.spec.cpu != other.spec.cpu:
                continue
            with hosts.awake(one, other):
                yield self._row(one, other)

    def _row(self, source: hosts.Host, target: hosts.Host) -> Row:
        pair = sorted((source, target), key=lambda host: str(host.spec))
        found = acknowledged([self.profiles[host.name] for host in pair])
        row = Row(
            str(source.spec),
            str(target.spec),
            'exists' if found.taken else 'none',
            ','.join(features_off(found.baseline)),
            table.NOT_TRIED,
            why=''
            if found.taken
            else '; '.join(
                dict.fromkeys(
                    refusal.finding.name for _, refusal in found.refusals
                )
            ),
        )
        if found.taken:
            return self._moved(row, source, target, found.baseline)
        return self._refused(row, source, target, found.baseline)

    def _moved(
        self,
        row: Row,
        source: hosts.Host,
        target: hosts.Host,
        baseline: CpuBaseline,
    ) -> Row:
        try:
            with self.guest(source, baseline) as guest:
                seen = [identity(guest.console())]
                began = time.monotonic()
                steps = [self.migrate(guest, target, baseline)]
                seconds = f'{time.monotonic() - began:.1f}'
                steps.append(guest.health().reason)
                if not any(steps):
                    guest.reset()
                    seen.append(identity(guest.console()))
                    steps.append(self.migrate(guest, source, baseline))
                    steps.append(guest.health().reason)
        except errors.LabError as exc:
            words = self._words(source)
            return dataclasses.replace(
                row, outcome='not started or lost', why=f'{exc}; {words}'
            )
        wrong = next(filter(None, steps), '')
        kind = table.HEALTHY
        if wrong:
            kind = table.REFUSED if steps[0] else table.BROKEN
        return dataclasses.replace(
            row,
            outcome=kind,
            sees=sees(seen, baseline),
            seconds=seconds,
            why=wrong,
        )

    def _refused(
        self,
        row: Row,
        source: hosts.Host,
        target: hosts.Host,
        baseline: CpuBaseline,
    ) -> Row:
        """Try to start a guest on both hosts, and to move it.

        Where both hosts start it, it must not come through a move there and
        back unharmed.
        """
        for host in (source, target):
            try:
                with self.guest(host, baseline):
                    pass
            except errors.LabError as exc:
                words = self._words(host)
                return dataclasses.replace(
                    row,
                    outcome=f'not started on {host.spec}',
                    why=f'{row.why}: {words or exc}',
                )
        with self.guest(source, baseline) as guest:
            for way, host in (('there', target), ('back', source)):
                wrong = self.migrate(guest, host, baseline)
                outcome = f'{table.REFUSED} {way}'
                if not wrong:
                    wrong = guest.health().reason
                    outcome = f'broken {way}'
                if wrong:
                    return dataclasses.replace(
                        row, outcome=outcome, why=f'{row.why}: {wrong}'
                    )
        return dataclasses.replace(row, outcome=table.HEALTHY)

    def _words(self, host: hosts.Host) -> str:
        """Return the shim's last line in the log of a guest."""
        done = host.channel.sh(
            f'grep -h nova-arm-baseline: /var/log/libvirt/qemu/{NAME}.log'
            ' | tail -n 1'
        )
        return done.out.strip().removeprefix('nova-arm-baseline: ')

    def guest(self, host: hosts.Host, baseline: CpuBaseline) -> guests.Guest:
        """Start a guest on the baseline; LabError if it doesn't start."""
        return guests.Guest.start(
            host,
            NAME,
            host.spec,
            reboots=True,
            features=self._features(host, baseline),
            environment=self._environment(host, baseline),
        )

    def migrate(
        self, guest: guests.Guest, target: hosts.Host, baseline: CpuBaseline
    ) -> str:
        """Move the guest; return the error's text, empty if it moved.

        QEMU on the target writes what the target needs: its domain differs
        from that of the source.
        """
        text = guests.for_host(
            guest.xml(), self._environment(target, baseline)
        )
        with tempfile.NamedTemporaryFile('w', suffix='.xml') as file:
            file.write(text)
            file.flush()
            return guest.migrate(target, '--xml', file.name)

    def _features(
        self, host: hosts.Host, baseline: CpuBaseline
    ) -> dict[str, bool]:
        mine = self.profiles[host.name]
        return dict.fromkeys(sorted(baseline.switched_off(mine)), False)

    def _environment(
        self, host: hosts.Host, baseline: CpuBaseline
    ) -> dict[str, str]:
        mine = self.profiles[host.name]
        # As in Nova: no library where no register has to be written.
        if not shim.written(baseline, mine):
            return {}
        return {'LD_PRELOAD': LIBRARY, **shim.environment(baseline, mine)}


NAME = 'crossing'
# CTR_EL0.TminLine is the host's (doc/source/admin/crossing.rst).
TMIN_LINE = 0x3F << 32
_SEES = re.compile(r'^witness sees((?: [a-z0-9_]+=[0-9a-f]+)+)$', re.M)


def features_off(baseline: CpuBaseline) -> tuple[str, ...]:
    """Return the vCPU features that a baseline switches off."""
    return tuple(sorted(FEATURES.keys() & baseline.disabled))


def identity(console: str) -> dict[str, int]:
    """Return the registers that the guest's program has printed last."""
    found = identities(console)
    return found[-1] if found else {}


def identities(console: str) -> list[dict[str, int]]:
    """Return the registers each time the guest's program has printed them."""
    return [
        _registers(line) for line in _SEES.findall(console.replace('\r', ''))
    ]


def _registers(line: str) -> dict[str, int]:
    pairs = (item.partition('=') for item in line.split())
    values = {name: int(value, 16) for name, _, value in pairs}
    if 'ctr_el0' in values:
        values['ctr_el0'] &= ~TMIN_LINE
    return values


def sees(
    seen: collections.abc.Sequence[collections.abc.Mapping[str, int]],
    baseline: CpuBaseline,
) -> str:
    """Tell whether a guest saw the same CPU each time: the baseline's."""
    if not seen or any(one != seen[0] for one in seen):
        return 'no'
    midr = baseline.implementation.midr
    return 'yes' if seen[0].get('midr_el1') == midr else 'no'


def acknowledged(
    members: collections.abc.Sequence[profile.Host],
) -> crossing.Common:
    """Return the hosts' baseline, with all known differences accepted."""
    found = crossing.common(members, name='lab')
    pairs = [one.pair for one in found.unacknowledged if one.allowed]
    return crossing.common(members, name='lab', acknowledged=pairs)


COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


def to_tsv(rows: collections.abc.Iterable[Row]) -> str:
    return table.tsv(COLUMNS, map(dataclasses.astuple, rows))


def to_text(rows: collections.abc.Iterable[Row]) -> str:
    """Return a table of the rows, and what was counted."""
    rows = list(rows)
    lines = [COLUMNS, *map(dataclasses.astuple, rows)]
    agree = sum(row.agrees for row in rows)
    return (
        f'{table.columns(lines)}\n'
        f'{len(rows)} ordered pairs, {agree} as the baseline says'
    )


def read(path: pathlib.Path) -> list[Row]:
    """Return the rows of an earlier run; none if there is no file."""
    if not path.exists():
        return []
    with path.open(newline='') as file:
        return [Row(**line) for line in csv.DictReader(file, delimiter='\t')]


def run(
    specs: collections.abc.Sequence[spec.Spec],
    tsv: pathlib.Path | None = None,
    kernels: bool = False,
) -> list[Row]:
    """Do every ordered pair of *specs* that *tsv* does not have yet.

    :param kernels: only the pairs of the same core
    :return: the new rows
    """
    old = read(tsv) if tsv else []
    done = {
        (row.source, row.destination)
        for row in old
        if row.outcome != table.NOT_TRIED
    }
    rows: list[Row] = []
    with hosts.Lab.create() as lab:
        trial = Crossing(lab, specs, done, kernels)
        trial.start()
        for row in trial.rows():
            rows.append(row)
            places.say(
                f'{row.source} -> {row.destination}: {row.baseline} / '
                f'{row.outcome}{": " + row.why if row.why else ""}'
            )
            if tsv:
                tsv.write_text(to_tsv([*old, *rows]))
    return rows
