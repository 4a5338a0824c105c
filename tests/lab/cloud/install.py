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

"""What the cloud runs: one native environment, and Nova for the hosts.

The native environment holds every service; the hosts get a folder with Nova
and its dependencies for their own architecture. Nothing of that architecture
is executed here: wheels are unpacked. A host can have another release of Nova
than the services: its versions come from a native environment of their own.
"""

import collections.abc
import glob
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from tests.lab import errors
from tests.lab import places
from tests.lab import rootfs

HERE = pathlib.Path(__file__).parent
REPOSITORY = HERE.parents[2]
# Release of Nova -> the versions of it and of its dependencies.
CONSTRAINTS = {
    34: (REPOSITORY / 'constraints.txt', HERE / 'constraints.txt'),
    33: (REPOSITORY / 'constraints/nova-33.txt',),
    31: (
        REPOSITORY / 'constraints/nova-31.txt',
        HERE / 'constraints-31.txt',
    ),
}
# The release of the services, and of hosts that ask for no other one.
RELEASE = 34
# The release of a cloud's services -> those that its hosts can have. Nova
# supports computes of one release before, not of three.
CLOUDS = {34: (34, 33), 31: (31,)}

SERVICES = (
    'nova==34.0.0',
    'keystone',
    'glance',
    'openstack-placement',
    'neutron',
    'python-openstackclient',
    'osc-placement',
    'PyMySQL',
    'uwsgi',
    'setuptools',
    'wheel',
    'pbr',
)

# The hosts: trixie's Python, and what nova-compute needs.
HOST_PYTHON = '3.13'
HOST_ROOTS = ('nova', 'PyMySQL')
# Only needed by the host's Python, so unknown to the native environment.
HOST_EXTRA = ('legacy-cgi==2.6.4',)
# Published without wheels; their Python files work without the C speed-ups.
HOST_FROM_SOURCE = ('ovs',)
# Large, and never imported by nova-compute.
HOST_PRUNED = (
    'numpy',
    'numpy.libs',
    'nova/tests',
    'openstack/tests',
    'bin',
    'etc',
    'share',
)

_ENTRY_POINT = """\
[neutron.ml2.mechanism_drivers]
lab = lab_mechanism:LabMechanismDriver
"""

# Prints name==version of the requirements' closure, for the hosts' Python.
_CLOSURE = """
import importlib.metadata, re, sys
from packaging.requirements import Requirement
host = {
    'implementation_name': 'cpython', 'os_name': 'posix',
    'platform_machine': 'aarch64', 'platform_python_implementation': 'CPython',
    'platform_system': 'Linux', 'sys_platform': 'linux',
    'python_version': sys.argv[1], 'python_full_version': sys.argv[1] + '.5',
}
found, todo = {}, [Requirement(text) for text in sys.argv[2:]]
seen = set()
while todo:
    wanted = todo.pop()
    key = re.sub('[-_.]+', '-', wanted.name).lower()
    extras = {'', *wanted.extras}
    if (key, *sorted(extras)) in seen:
        continue
    seen.add((key, *sorted(extras)))
    try:
        one = importlib.metadata.distribution(wanted.name)
    except importlib.metadata.PackageNotFoundError:
        continue
    found[key] = one.version
    for need in map(Requirement, one.requires or ()):
        if need.marker is None or any(
            need.marker.evaluate({**host, 'extra': extra}) for extra in extras
        ):
            todo.append(need)
for key, version in sorted(found.items()):
    print(f'{key}=={version}')
"""


def folder() -> pathlib.Path:
    return places.cache_dir() / 'cloud'


def run_logged(
    argv: collections.abc.Sequence[str | os.PathLike[str]],
    log: pathlib.Path,
    what: str,
    nice: int = 10,
    **more: object,
) -> None:
    """Run *argv* with its output appended to *log*.

    :param nice: builds give way to what else runs
    :raises LabError: naming *what*, its last words and the log, if it fails
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, 'ab') as handle:
        start = handle.tell()
        done = subprocess.run(  # type: ignore[call-overload]
            ['nice', '-n', str(nice), *argv],
            stdin=subprocess.DEVNULL,
            stdout=handle,
            stderr=subprocess.STDOUT,
            **more,
        )
    if done.returncode:
        with open(log, errors='replace') as text:
            text.seek(start)
            lines = [line for line in text.read().splitlines() if line.strip()]
        wrong = [line for line in lines if 'rror' in line] or lines or ['']
        raise errors.LabError(f'{what}: {wrong[-1][:200]} (see {log})')


def _fingerprint(release: int, *parts: str) -> str:
    digest = hashlib.sha256()
    for path in CONSTRAINTS[release]:
        digest.update(path.read_bytes())
    for part in parts:
        digest.update(part.encode() + b'\0')
    return digest.hexdigest()[:12]


def packages(release: int) -> tuple[str, ...]:
    """Return what the native environment of this release of Nova has."""
    if release == RELEASE:
        return SERVICES
    if release in CLOUDS:
        # The constraints say which versions.
        return ('nova', *SERVICES[1:])
    return HOST_ROOTS


def name_of(kind: str, release: int) -> str:
    """Return how the folders of *kind* for this release of Nova begin."""
    return kind if release == RELEASE else f'{kind}{release}'


def native(release: int = RELEASE) -> pathlib.Path:
    """The native environment, made now if it isn't there.

    Of a release in CLOUDS it has the services, of another one only what the
    hosts need.
    """
    wanted = packages(release)
    stamp = _fingerprint(release, *wanted, sys.version)
    kind = name_of('native', release)
    final = folder() / f'{kind}-{stamp}'
    log = folder() / 'install.log'
    with places.locked(folder() / f'{kind}.lock', 'another install runs'):
        if (final / 'complete').exists():
            return final
        what = f'installing Nova {release}'
        if release in CLOUDS:
            what = f'installing the services of Nova {release}'
        places.say(f'cloud: {what} (minutes)')
        for old in folder().glob(f'{kind}-*'):
            shutil.rmtree(old)
        run_logged([sys.executable, '-m', 'venv', final], log, 'venv')
        pinned = [
            word for path in CONSTRAINTS[release] for word in ('-c', str(path))
        ]
        run_logged(
            [final / 'bin/pip', 'install', '-q', *pinned, *wanted],
            log,
            what,
        )
        (final / 'complete').touch()
    return final


def host_interpreter() -> str | None:
    """A native interpreter of the hosts' version, to compile with."""
    name = f'python{HOST_PYTHON}'
    homes = sorted(
        glob.glob(os.path.expanduser(f'~/.pyenv/versions/{HOST_PYTHON}*/bin'))
    )
    found = [shutil.which(name), *(f'{home}/{name}' for home in homes)]
    for path in found:
        if (
            path
            and not subprocess.run(
                [path, '-c', ''], capture_output=True
            ).returncode
        ):
            return path
    return None


def compile_for_host(tree: pathlib.Path, inside: str) -> None:
    """Compile *tree* ahead, as it will be at *inside* in a host.

    Importing nova-compute takes an emulated host 15 s with compiled files
    and a minute without.
    """
    interpreter = host_interpreter()
    if interpreter is None:
        places.say(
            f'cloud: no native Python {HOST_PYTHON}: the hosts compile for '
            'themselves, which makes their first start slower'
        )
        return
    subprocess.run(
        [
            'nice',
            '-n',
            '10',
            interpreter,
            '-m',
            'compileall',
            '-q',
            '-s',
            str(tree),
            '-p',
            inside,
            '--invalidation-mode',
            'unchecked-hash',
            str(tree),
        ],
        capture_output=True,
        check=False,
    )


def pip_for_host(
    environment: pathlib.Path, target: pathlib.Path, *words: str
) -> list[str]:
    argv = [
        str(environment / 'bin/pip'),
        'install',
        '-q',
        '--no-deps',
        '--target',
        str(target),
        '--only-binary=:all:',
        '--python-version',
        HOST_PYTHON,
        '--implementation',
        'cp',
        '--abi',
        'cp' + HOST_PYTHON.replace('.', ''),
        '--abi',
        'abi3',
        '--abi',
        'none',
        '--no-compile',
    ]
    for platform in ('manylinux_2_28', 'manylinux_2_17', 'manylinux2014'):
        argv += ['--platform', f'{platform}_aarch64']
    return argv + list(words)


def for_hosts(inside: str, release: int = RELEASE) -> pathlib.Path:
    """The folder with Nova for the hosts, made now if it isn't there.

    :param inside: where it will be in a host
    """
    environment = native(release)
    stamp = _fingerprint(
        release,
        *HOST_ROOTS,
        *HOST_EXTRA,
        *HOST_PRUNED,
        *HOST_FROM_SOURCE,
        _CLOSURE,
        inside,
        environment.name,
    )
    kind = name_of('host', release)
    final = folder() / f'{kind}-{stamp}'
    log = folder() / 'install.log'
    with places.locked(folder() / f'{kind}.lock', 'another install runs'):
        if final.is_dir():
            return final
        places.say(f'cloud: unpacking Nova {release} for the hosts')
        for old in folder().glob(f'{kind}-*'):
            shutil.rmtree(old)
        listed = subprocess.run(
            [
                environment / 'bin/python',
                '-c',
                _CLOSURE,
                HOST_PYTHON,
                *HOST_ROOTS,
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        wheels = [
            one
            for one in listed
            if one.partition('==')[0] not in HOST_FROM_SOURCE
        ]
        work = pathlib.Path(tempfile.mkdtemp(prefix='tmp-', dir=folder()))
        work.chmod(0o755)
        try:
            run_logged(
                pip_for_host(environment, work, *HOST_EXTRA, *wheels),
                log,
                f'unpacking Nova {release} for the hosts',
            )
            _copy_python(environment, work, HOST_FROM_SOURCE)
            for name in HOST_PRUNED:
                shutil.rmtree(work / name, ignore_errors=True)
            places.say('cloud: compiling it')
            compile_for_host(work, inside)
            os.rename(work, final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return final


def _copy_python(
    environment: pathlib.Path,
    target: pathlib.Path,
    names: collections.abc.Iterable[str],
) -> None:
    """Copy distributions' Python files, without what is compiled."""
    (site,) = environment.glob('lib/python3*/site-packages')
    for name in names:
        for path in (*site.glob(f'{name}-*.dist-info'), site / name):
            shutil.copytree(
                path,
                target / path.name,
                ignore=shutil.ignore_patterns('*.so', '__pycache__'),
            )


def mechanism(folder: pathlib.Path) -> None:
    """Put the mechanism driver where Neutron finds it by its entry point.

    :param folder: one that will be in Neutron's path
    """
    about = folder / 'lab_mechanism-0.dist-info'
    about.mkdir(parents=True, exist_ok=True)
    (about / 'METADATA').write_text(
        'Metadata-Version: 2.1\nName: lab_mechanism\nVersion: 0\n'
    )
    (about / 'entry_points.txt').write_text(_ENTRY_POINT)
    (folder / 'lab_mechanism.py').write_bytes(
        (rootfs.FILES / 'lab_mechanism.py').read_bytes()
    )
