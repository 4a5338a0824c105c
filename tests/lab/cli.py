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

"""``python3 -m tests.lab``: the Arm64 lab's commands.

Exit status: 0 success; 1 a check failed (a disagreement, or a command in a
host failed); 2 the lab could not do it, with the reason in one line; 77 the
lab can't run on this machine, with the reason.
"""

import argparse
import collections.abc
import os
import pathlib
import signal
import subprocess
import sys
import types

from nova_arm_migrate.core import record
from tests.lab import build
from tests.lab import crossing
from tests.lab import differential
from tests.lab import errors
from tests.lab import generations
from tests.lab import groups
from tests.lab import hops
from tests.lab import host as hosts
from tests.lab import oracle
from tests.lab import pace
from tests.lab import places
from tests.lab import scenarios
from tests.lab import spec
from tests.lab import table
from tests.lab import truth
from tests.lab.cloud import cli as cloud

SKIPPED = 77
ENDING = (signal.SIGTERM, signal.SIGHUP)
# Each name is a separate lab, with its own network.
LAB = os.environ.get('NOVA_ARM_LAB_NAME', 'default')


def _lab(create: bool = False) -> hosts.Lab:
    try:
        return hosts.Lab.open(LAB)
    except errors.LabError:
        if not create:
            raise
        return hosts.Lab.create(LAB)


def _host(name: str) -> hosts.Host:
    lab = _lab()
    if name not in lab.hosts:
        known = ', '.join(lab.hosts) or 'none'
        raise errors.LabError(f'no host {name}; up: {known}')
    return lab.hosts[name]


def cmd_build(args: argparse.Namespace) -> int:
    names = args.generation or list(generations.GENERATIONS)
    places.check_machine(
        f'extract Debian packages into {places.cache_dir()} and make '
        f'disk images of {", ".join(names)}'
    )
    for image in build.build(names, args.mirror):
        print(f'{image.generation}: ' + ', '.join(image.about.splitlines()))
    return 0


def cmd_prune(args: argparse.Namespace) -> int:
    for name in build.prune():
        print(name)
    return 0


def cmd_up(args: argparse.Namespace) -> int:
    specs = [spec.parse(text) for text in args.host]
    build.build({one.generation for one in specs})
    lab = _lab(create=True)
    started: list[hosts.Host] = []
    try:
        for one in specs:
            started.append(lab.start(one, args.name))
        for host in started:
            host.wait_ready()
    except BaseException:
        for host in started:
            lab.stop(host)
        if not lab.hosts:
            lab.down()
        raise
    for host in started:
        print(f'{host.name}\t{host.address}\t{host.spec}')
    return 0


def cmd_down(args: argparse.Namespace) -> int:
    if args.host:
        lab = _lab()
        for host in [_host(name) for name in args.host]:
            lab.stop(lab.hosts[host.name])
        return 0
    hosts.sweep()
    for lab in hosts.labs():
        if args.all or lab.name == LAB:
            lab.down()
    return 0


def cmd_list(args: argparse.Namespace) -> int:
    for lab in hosts.labs():
        for host in lab.hosts.values():
            state = 'up' if host.process.alive() else 'ended'
            print(
                f'{lab.name}\t{host.name}\t{host.address}\t{state}\t'
                f'{host.spec}'
            )
    return 0


def cmd_sh(args: argparse.Namespace) -> int:
    host = _host(args.host)
    if not args.command:
        return hosts.interactive(host)
    done = host.channel.sh(' '.join(args.command))
    sys.stdout.write(done.out)
    sys.stderr.write(done.err)
    return done.rc


def cmd_put(args: argparse.Namespace) -> int:
    if not args.source.exists():
        raise errors.LabError(f'{args.source} is not there')
    _host(args.host).channel.put(args.source, args.target)
    return 0


def cmd_get(args: argparse.Namespace) -> int:
    args.target.write_bytes(_host(args.host).channel.get(args.source))
    return 0


def cmd_console(args: argparse.Namespace) -> int:
    host = _host(args.host)
    argv = ['tail', '-n', '+1', str(host.console)]
    if args.follow:
        argv[1:1] = ['-f']
    return subprocess.run(argv).returncode


def cmd_exec(args: argparse.Namespace) -> int:
    """Run a native command inside the lab's network."""
    return subprocess.run(_lab().net.command(args.command)).returncode


def cmd_truth(args: argparse.Namespace) -> int:
    if args.baseline:
        return _crossing(args)
    if not args.host:
        raise errors.LabError('name two hosts or more')
    specs = [spec.parse(text) for text in args.host]
    places.check_machine('start emulated hosts and migrate guests')
    build.build({one.generation for one in specs})
    rows, findings = truth.run(specs, args.tsv, args.profiles, back=args.back)
    return _done(rows, findings)


def _crossing(args: argparse.Namespace) -> int:
    """Move guests on a baseline; print what they saw."""
    default = crossing.KERNELS if args.kernels else crossing.MODELS
    specs = [spec.parse(text) for text in args.host or default]
    places.check_machine('start emulated hosts and migrate guests')
    build.build({one.generation for one in specs})
    if args.hops:
        result = hops.run(specs, args.hops)
        print(result)
        return 1 if result.wrong else 0
    if args.pace:
        print(pace.to_text(pace.run(specs, args.pace)))
        return 0
    rows = crossing.run(specs, args.tsv, args.kernels)
    print(crossing.to_text(rows))
    return 0 if all(row.agrees for row in rows) else 1


def _done(
    rows: collections.abc.Sequence[table.Row],
    findings: collections.abc.Sequence[str],
) -> int:
    """Print the result of a run; return the exit status."""
    print(table.to_text(rows))
    for finding in findings:
        print(finding)
    print(table.summary(rows))
    bad = findings or any(row.agreement != 'yes' for row in rows)
    return 1 if bad else 0


def cmd_ci(args: argparse.Namespace) -> int:
    specs = [spec.parse(text) for text in groups.CI_HOSTS]
    places.check_machine(
        f'build images in {places.cache_dir()}, start six emulated hosts '
        'and migrate guests between them'
    )
    build.build(dict.fromkeys(one.generation for one in specs))
    pairs = _done(*truth.run(specs, args.tsv, only=groups.CI_PAIRS))
    try:
        return max(pairs, int(scenarios.run()))
    except errors.LabError as exc:
        # The results of the pairs are still valid.
        print(f'SKIP scenarios {exc}')
        return pairs


def cmd_scenarios(args: argparse.Namespace) -> int:
    specs = [spec.parse(text) for text in scenarios.HOSTS]
    places.check_machine('start two emulated hosts and migrate guests')
    build.build({one.generation for one in specs})
    return int(scenarios.run())


def cmd_full(args: argparse.Namespace) -> int:
    places.check_machine('migrate guests between many emulated hosts')
    rows: list[table.Row] = []
    findings: list[str] = []
    for group in groups.FULL:
        specs = [spec.parse(text) for text in group]
        build.build(dict.fromkeys(one.generation for one in specs))
        made, found = truth.run(specs, args.tsv, args.profiles, back=True)
        rows += made
        findings += found
    return _done(rows, findings)


def cmd_report(args: argparse.Namespace) -> int:
    if not args.tsv.exists():
        raise errors.LabError(f'{args.tsv} is not there')
    rows = table.read(args.tsv)
    sys.stdout.write(
        table.to_rst(rows) if args.rst else table.to_text(rows) + '\n'
    )
    print(table.summary(rows), file=sys.stderr)
    return 1 if any(row.agreement == 'no' for row in rows) else 0


def cmd_differential(args: argparse.Namespace) -> int:
    specs = [spec.parse(text) for text in args.host]
    places.check_machine('start emulated hosts and write to scratch vCPUs')
    build.build({one.generation for one in specs})
    differ = 0
    with hosts.Lab.create() as lab:
        for host_spec in specs:
            with lab.host(host_spec) as host:
                tallies = differential.run(host, args.values, args.seed)
            print(f'== {host_spec}')
            print('\n'.join(differential.report(tallies)), flush=True)
            differ += sum(one.differ for one in tallies.values())
    return 1 if differ else 0


def cmd_probe(args: argparse.Namespace) -> int:
    one = spec.parse(args.host)
    places.check_machine('start an emulated host and probe it')
    build.build([one.generation])
    with hosts.Lab.create() as lab, lab.host(one) as host:
        oracle.prepare(host)
        text = record.dump_host(oracle.host_profile(host)) + '\n'
    if args.output:
        args.output.write_text(text)
    else:
        sys.stdout.write(text)
    return 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog='python3 -m tests.lab',
        description='Emulated Arm64 hosts with real KVM and libvirt. A host '
        'is written CPU[@GENERATION][+OPTION=N...], for example '
        'neoverse-v1,sve256=off@forky+numa=2',
        epilog='status: 0 success, 1 a check failed, 2 could not do it, '
        f'{SKIPPED} this machine cannot run the lab',
    )
    subs = top.add_subparsers(required=True, metavar='COMMAND')

    def add(
        name: str,
        function: collections.abc.Callable[[argparse.Namespace], int],
        text: str,
    ) -> argparse.ArgumentParser:
        sub = subs.add_parser(name, help=text, description=text)
        sub.set_defaults(function=function)
        return sub

    sub = add('build', cmd_build, 'build and cache the images of hosts')
    sub.add_argument(
        '--generation',
        action='append',
        choices=generations.GENERATIONS,
        help='only this one (may be given again); default: all',
    )
    sub.add_argument(
        '--mirror', help='Debian mirror; default: the one apt uses here'
    )
    add('prune', cmd_prune, 'remove images of older versions of the lab')
    sub = add('up', cmd_up, 'start hosts and keep them running')
    sub.add_argument('host', nargs='+')
    sub.add_argument('--name', help='instead of h1, h2 ... (one host)')
    sub = add('down', cmd_down, 'end hosts, and the remains of crashed labs')
    sub.add_argument('host', nargs='*', help='only these')
    sub.add_argument(
        '--all', action='store_true', help='also end labs of running programs'
    )
    add('list', cmd_list, 'list the hosts of every lab')
    sub = add('sh', cmd_sh, 'a shell in a host, or one command line')
    sub.add_argument('host')
    sub.add_argument('command', nargs=argparse.REMAINDER)
    sub = add('put', cmd_put, 'copy a file or folder into a host')
    sub.add_argument('host')
    sub.add_argument('source', type=pathlib.Path)
    sub.add_argument('target')
    sub = add('get', cmd_get, 'copy a file out of a host')
    sub.add_argument('host')
    sub.add_argument('source')
    sub.add_argument('target', type=pathlib.Path)
    sub = add('console', cmd_console, "print a host's console")
    sub.add_argument('host')
    sub.add_argument('-f', '--follow', action='store_true')
    sub = add('exec', cmd_exec, 'a native command in the lab network')
    sub.add_argument('command', nargs=argparse.REMAINDER)
    sub = add('probe', cmd_probe, "print a host's profile")
    sub.add_argument('host')
    sub.add_argument('-o', '--output', type=pathlib.Path)
    add('scenarios', cmd_scenarios, 'ways to move a guest with libvirt')
    sub = add('ci', cmd_ci, 'six hosts, twelve pairs, and the scenarios')
    sub.add_argument('--tsv', type=pathlib.Path)
    sub = add('full', cmd_full, 'the whole truth table')
    sub.add_argument(
        '--tsv',
        type=pathlib.Path,
        help='merge the rows into this file; skip pairs that are in it',
    )
    sub.add_argument('--profiles', type=pathlib.Path)
    sub = add('report', cmd_report, 'print a table from an earlier run')
    sub.add_argument('tsv', type=pathlib.Path)
    sub.add_argument(
        '--rst', action='store_true', help='as a page of the documentation'
    )
    sub = add('differential', cmd_differential, 'compare rule and kernel')
    sub.add_argument('host', nargs='+')
    sub.add_argument('--values', type=int, default=100000)
    sub.add_argument('--seed', type=int, default=1)
    sub = add('truth', cmd_truth, 'migrate between every two hosts')
    sub.add_argument('host', nargs='*')
    sub.add_argument(
        '--baseline',
        action='store_true',
        help='start each guest on the greatest baseline of both hosts, through'
        ' the shim (default hosts: eight CPU models)',
    )
    sub.add_argument(
        '--kernels',
        action='store_true',
        help='with --baseline: only pairs of the same core'
        ' (default hosts: seven models, each with two or more kernels)',
    )
    sub.add_argument(
        '--hops',
        type=int,
        default=0,
        help='with --baseline: move one guest so often, from each host to the'
        ' next, on the greatest baseline of all of them',
    )
    sub.add_argument(
        '--pace',
        type=int,
        default=0,
        help='with --baseline: start and move so many plain guests and so many'
        ' on the baseline between the first two hosts, and compare the times',
    )
    sub.add_argument(
        '--tsv',
        type=pathlib.Path,
        help='merge the rows into this file; skip pairs that are in it',
    )
    sub.add_argument(
        '--back',
        action='store_true',
        help='also move each guest back after its migration',
    )
    sub.add_argument(
        '--profiles', type=pathlib.Path, help="save the hosts' profiles here"
    )
    cloud.add_to(subs)
    return top


def _terminated(number: int, frame: types.FrameType | None) -> None:
    # The first signal ends everything; a second one must not interrupt that
    # (timeout(1) sends one to its child and one to the whole group).
    for one in ENDING:
        signal.signal(one, signal.SIG_IGN)
    raise SystemExit(128 + number)


def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    # With an exception "finally" and "with" run, and end the hosts.
    for one in ENDING:
        signal.signal(one, _terminated)
    try:
        return int(args.function(args))
    except errors.LabSkip as exc:
        print(f'lab: skipped: {exc}', file=sys.stderr)
        return SKIPPED
    except errors.LabError as exc:
        print(f'lab: {exc}', file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print('lab: interrupted', file=sys.stderr)
        return 130
