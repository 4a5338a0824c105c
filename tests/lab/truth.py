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

"""``lab truth``: compare verdicts with real live migrations."""

import collections
import collections.abc
import dataclasses
import json
import pathlib
import time

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import record
from nova_arm_migrate.core import vcpu
from tests.lab import build
from tests.lab import errors
from tests.lab import guest as guests
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab import places
from tests.lab import spec
from tests.lab import table

HAZARD_ATTEMPTS = 8


@dataclasses.dataclass(frozen=True)
class Source:
    """A guest that will be started: its host and its features."""

    label: str
    spec: spec.Spec
    host: hosts.Host


@dataclasses.dataclass
class Known:
    """What is known about one host."""

    profile: profile.Host
    cpu: str


def plan(
    specs: collections.abc.Sequence[spec.Spec],
) -> tuple[list[spec.Spec], list[tuple[spec.Spec, int]]]:
    """Return the hosts to start, and the guests as (features, host).

    A specification without guest features is a separate host, even if it is
    given twice. A specification with features uses the host that it names.
    """
    machines = [one for one in specs if not one.guest]
    for one in specs:
        if one.guest and one.host not in machines:
            machines.append(one.host)
    taken: collections.Counter[spec.Spec] = collections.Counter()
    guests_: list[tuple[spec.Spec, int]] = []
    for one in specs:
        places_ = [i for i, host in enumerate(machines) if host == one.host]
        if one.guest:
            guests_.append((one, places_[0]))
        else:
            guests_.append((one, places_[taken[one]]))
            taken[one] += 1
    return machines, guests_


def labels(machines: collections.abc.Sequence[spec.Spec]) -> list[str]:
    """Return a label for each host; the second of equal ones gets a number."""
    seen: collections.Counter[spec.Spec] = collections.Counter()
    found = []
    for one in machines:
        seen[one] += 1
        found.append(f'{one} #{seen[one]}' if seen[one] > 1 else str(one))
    return found


class Trial:
    """The hosts of one run; all are paused except those in use."""

    def __init__(
        self,
        lab: hosts.Lab,
        specs: collections.abc.Sequence[spec.Spec],
        done: collections.abc.Set[tuple[str, str]],
        only: collections.abc.Set[tuple[str, str]] = frozenset(),
        back: bool = False,
    ) -> None:
        self.lab = lab
        self.done = done
        self.only = only
        self.back = back
        machines, planned = plan(specs)
        self.machines = machines
        self.labels = labels(machines)
        self.planned = planned
        self.hosts: list[hosts.Host] = []
        self.known: dict[str, Known] = {}
        self.records: dict[str, profile.Guest] = {}
        self.said: dict[tuple[str, str], oracle.Said] = {}
        self.libvirt: dict[tuple[str, str], tuple[str, str]] = {}
        self.findings: list[str] = []
        self.sources: list[Source] = []

    def start(self) -> None:
        """Start the hosts, two at a time, and collect all predictions."""
        for host in oracle.started(self.lab, self.machines):
            self.hosts.append(host)
            self._learn(host)
        for host in self.hosts:
            with hosts.awake(host):
                self._judge(host)

    def _label(self, host: hosts.Host) -> str:
        return self.labels[self.hosts.index(host)]

    def _learn(self, host: hosts.Host) -> None:
        """Read the host's profile, and those of guests that start there."""
        mine = [
            Source(self._guest_label(one, place), one, host)
            for one, place in self.planned
            if place == self.hosts.index(host)
        ]
        questions: list[oracle.Answer] = [{'ask': 'host'}]
        questions += [oracle.view(source.spec) for source in mine]
        answers = oracle.ask(host, questions)
        self.known[host.name] = Known(
            record.load_host(json.dumps(answers[0]['host'])),
            oracle.capabilities(host),
        )
        for source, answer in zip(mine, answers[1:]):
            self.records[source.label] = record.load_guest(
                json.dumps(answer['guest'])
            )
            self.findings += [
                f'view of {source.label}: {text}' for text in answer['differ']
            ]
        self.sources += mine
        places.say(f'{self._label(host)}: probed')

    def _guest_label(self, one: spec.Spec, place: int) -> str:
        label = self.labels[place]
        if one.guest:
            label += '/guest:' + ','.join(one.guest)
        return label

    def _asked(self, source: str, destination: str) -> bool:
        pair = source, destination
        return pair not in self.done and (not self.only or pair in self.only)

    def wanted(self, source: Source) -> list[hosts.Host]:
        """Return the remaining destinations, likely refusals first.

        A refused guest continues on its source, and is used for the next pair.
        """
        targets = [
            host
            for host in self.hosts
            if host is not source.host
            and self._asked(source.label, self._label(host))
        ]
        return sorted(
            targets,
            key=lambda host: (
                self.said[source.label, host.name].verdict == table.COMPATIBLE
            ),
        )

    def _judge(self, host: hosts.Host) -> None:
        """Judge every other host's guests against this host."""
        others = [one for one in self.sources if one.host is not host]
        answers = oracle.ask(
            host,
            [oracle.trial(self.records[one.label]) for one in others],
        )
        compared: dict[str, tuple[str, str]] = {}
        for source, answer in zip(others, answers):
            self.said[source.label, host.name] = oracle.said(
                self.records[source.label],
                self.known[host.name].profile,
                answer,
            )
            cpu = self.known[source.host.name].cpu
            if cpu not in compared:
                compared[cpu] = oracle.libvirt_compare(host, cpu)
            self.libvirt[source.label, host.name] = compared[cpu]
        places.say(f'{self._label(host)}: {len(others)} trials')

    def rows(self) -> collections.abc.Iterator[table.Row]:
        """Move guests; yield a row for each ordered pair when it is done."""
        for number, source in enumerate(self.sources):
            if not self.wanted(source):
                continue
            with hosts.awake(source.host):
                yield from self._rows_of(source, f'g{number}')

    def _rows_of(
        self, source: Source, name: str
    ) -> collections.abc.Iterator[table.Row]:
        guest: guests.Guest | None = None
        for target in self.wanted(source):
            with hosts.awake(target):
                for _ in range(self._attempts(source, target)):
                    if guest and guest.host is not source.host:
                        guest.destroy()
                        guest = None
                    try:
                        guest = guest or guests.Guest.start(
                            source.host, name, source.spec
                        )
                        outcome, detail = attempt(guest, target)
                    except errors.LabError as exc:
                        outcome, detail = table.NOT_TRIED, str(exc)
                    if outcome != table.HEALTHY:
                        break
                yield self._row(source, target, outcome, detail)
                if guest and self.back and outcome == table.HEALTHY:
                    yield self._row_back(source, guest)
                if guest and outcome != table.REFUSED:
                    guest.destroy()
                    guest = None
        if guest:
            guest.destroy()

    def _attempts(self, source: Source, target: hosts.Host) -> int:
        """Return the number of moves to try until a guest breaks.

        With only a silent hazard, a guest may survive a move by chance.
        """
        said = self.said[source.label, target.name]
        hazard = said.static != table.COMPATIBLE and said.trial == 'accepts'
        return HAZARD_ATTEMPTS if hazard else 1

    def _row_back(self, source: Source, guest: guests.Guest) -> table.Row:
        """Move a guest back from another host to its source.

        It kept its own registers and got those that only the other host
        has, so the source may refuse it.
        """
        via = guest.host
        now = moved(self.records[source.label], self.known[via.name].profile)
        home = self.known[source.host.name].profile
        answer = oracle.ask(source.host, [oracle.trial(now)])[0]
        ours = oracle.said(now, home, answer)
        words = oracle.libvirt_compare(source.host, self.known[via.name].cpu)
        try:
            outcome, detail = attempt(guest, source.host)
        except errors.LabError as exc:
            outcome, detail = table.NOT_TRIED, str(exc)
        return table.Row(
            source=f'{source.label} via {self._label(via)}',
            destination=self._label(source.host),
            midr='equal',
            static=ours.static,
            trial=ours.trial,
            verdict=ours.verdict,
            libvirt=words[0],
            hypervisor=words[1],
            outcome=outcome,
            why=ours.why,
            scheduler=ours.scheduler,
            detail=detail,
        )

    def _row(
        self, source: Source, target: hosts.Host, outcome: str, detail: str
    ) -> table.Row:
        ours = self.said[source.label, target.name]
        libvirt, hypervisor = self.libvirt[source.label, target.name]
        their = self.known[target.name].profile
        equal = oracle.midr(self.records[source.label]) in {
            core.midr for core in their.cores
        }
        return table.Row(
            source=source.label,
            destination=self._label(target),
            midr='equal' if equal else 'differs',
            static=ours.static,
            trial=ours.trial,
            verdict=ours.verdict,
            libvirt=libvirt,
            hypervisor=hypervisor,
            outcome=outcome,
            why=ours.why,
            scheduler=ours.scheduler,
            detail=detail,
        )


def moved(guest: profile.Guest, host: profile.Host) -> profile.Guest:
    """Return the guest's record on a host to which it has moved.

    The guest did not boot again there. The lab knows that, Nova does not.
    """
    return dataclasses.replace(
        vcpu.after_migration(guest, host), sve_visited=None, ipa_visited=None
    )


def attempt(guest: guests.Guest, target: hosts.Host) -> tuple[str, str]:
    """Move a guest; return the outcome and the details.

    :raises LabError: if the guest did not move and is not well any more, so
        that the result has no meaning
    """
    failure = guest.migrate(target)
    health = guest.health()
    if failure:
        if not health.well:
            raise errors.LabError(
                f'after "{failure}" the guest is not well: {health.reason}'
            )
        return table.REFUSED, failure
    if health.well:
        return table.HEALTHY, ''
    return table.BROKEN, health.reason


def run(
    specs: collections.abc.Sequence[spec.Spec],
    tsv: pathlib.Path | None = None,
    profiles: pathlib.Path | None = None,
    only: collections.abc.Set[tuple[str, str]] = frozenset(),
    back: bool = False,
) -> tuple[list[table.Row], list[str]]:
    """Do every ordered pair of *specs*.

    :param tsv: each new row is merged into this file; pairs in the file are
        not done again
    :param profiles: a folder for the hosts' profiles
    :param only: the pairs to do, as labels; empty means all
    :param back: also move each guest back after its migration
    :return: the new rows, and the differences that were found
    """
    old = table.read(tsv) if tsv else []
    done = {row.key for row in old if row.outcome != table.NOT_TRIED}
    rows: list[table.Row] = []
    with hosts.Lab.create() as lab:
        trial = Trial(lab, specs, done, only, back)
        trial.start()
        if profiles:
            save_profiles(trial, profiles)
        for row in trial.rows():
            rows.append(row)
            places.say(
                f'{row.source} -> {row.destination}: {row.verdict} / '
                f'{row.outcome}{": " + row.detail if row.detail else ""}'
            )
            if tsv:
                merged = table.merged(table.read(tsv), rows)
                temporary = tsv.with_suffix('.tmp')
                temporary.write_text(table.to_tsv(merged))
                temporary.replace(tsv)
        return rows, trial.findings


def save_profiles(trial: Trial, folder: pathlib.Path) -> None:
    """Write a file for each host, and a table of their origin."""
    folder.mkdir(parents=True, exist_ok=True)
    for host in trial.hosts:
        name = profile_name(host.spec)
        known = trial.known[host.name].profile
        (folder / f'{name}.json').write_text(record.dump_host(known) + '\n')
        _note_provenance(folder / 'PROVENANCE.tsv', name, host.spec)


def _note_provenance(
    path: pathlib.Path, name: str, host_spec: spec.Spec
) -> None:
    """Keep one line for each profile: on what it was recorded, and when."""
    about = dict(
        line.split(' ', 1)
        for line in build.image(host_spec.generation).about.splitlines()
    )
    line = '\t'.join(
        (
            name,
            str(host_spec),
            build.emulator_version(),
            about['linux'],
            about['qemu-system-arm'],
            about['libvirt-daemon'],
            time.strftime('%Y-%m-%d', time.gmtime()),
        )
    )
    head = 'profile\thost\temulator\tlinux\tqemu\tlibvirt\tdate'
    old = path.read_text().splitlines()[1:] if path.exists() else []
    lines = {one.split('\t')[0]: one for one in [*old, line]}
    path.write_text('\n'.join([head, *sorted(lines.values())]) + '\n')


def profile_name(host_spec: spec.Spec) -> str:
    """Return a file name for ``neoverse-v1,sve=off@forky``."""
    text = str(host_spec.host)
    if '@' not in text:
        cpu, plus, options = text.partition('+')
        text = f'{cpu}@{host_spec.generation}{plus}{options}'
    for old, new in (('=', '-'), (',', '_'), ('@', '_'), ('+', '_')):
        text = text.replace(old, new)
    return text
