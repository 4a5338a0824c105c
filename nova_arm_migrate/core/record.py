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

"""The JSON form of profiles: versioned, canonical, compact, and checked.

``dump_host`` gives the same bytes for the same host: fixed key order, no
white space, lower-case hexadecimal, ascending lists. ``load_host`` trusts
nothing: a record comes from another host's database row. Every number is
bounded, and each key's value is taken only in the form that ``dump_host``
writes: what could be read in two ways is refused. Unknown keys are passed
over so that a later minor change stays readable. Whatever is wrong ends in
one `ProfileError`.
"""

from collections.abc import Iterable
import json
import re
from typing import Any
from typing import TypeVar

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Core
from nova_arm_migrate.core.profile import DISABLED_NAMES
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.core.profile import Values
from nova_arm_migrate.core.record_tried import dump_tried
from nova_arm_migrate.core.record_tried import dump_vgics
from nova_arm_migrate.core.record_tried import load_tried
from nova_arm_migrate.core.record_tried import load_vgics
from nova_arm_migrate.core.tables.features import FEATURES
from nova_arm_migrate.core.tables.features import SVE_LENGTHS
from nova_arm_migrate.core.tried import Tried
from nova_arm_migrate.core.tried import Vgic

_T = TypeVar('_T', int, str)

#: Of the records this code reads. Those of 1 have no tries and no GIC, and
#: their registers are of a machine without one. A profile without these is
#: written as 1: so it comes out as it came in, and older code reads it.
SCHEMAS = (1, 2)
#: The keys that a record of 2 has one of, by its kind.
_SINCE_2 = {'host': ('vgic', 'tried', 'hvc', 'caches'), 'guest': ('vgic',)}
#: Characters; a host of the newest kernel takes fewer than 4096.
LONGEST = 16384
_MOST_REGISTERS = 2048
_MOST_ITEMS = 64
_RUN = re.compile(r'(0|[1-9a-f][0-9a-f]{0,6})(?:\+([1-9a-f][0-9a-f]{0,2}))?')
_NAME = re.compile(r'[A-Za-z0-9_]{1,40}')
_TEXT = re.compile(r'[\x20-\x7e]{0,120}')
_CPUS = re.compile(r'[0-9,\-]{1,400}')
#: ARM64_MIN_PARANGE_BITS: KVM makes no smaller space.
_LEAST_IPA_BITS = 32


def dump_host(host: Host) -> str:
    """Return a host profile as its one canonical JSON text."""
    return _dump(
        ('schema', SCHEMAS[_is_probed(host)]),
        ('kind', 'host'),
        ('cores', _dump_cores(host.cores)),
        *_common(host),
        ('writable', _dump_values(host.writable)),
        ('features', sorted(host.features)),
        ('caps', dict(sorted(host.capabilities))),
        ('gic', host.gic),
        ('vgic', dump_vgics(host.vgics)),
        ('tried', dump_tried(host.tried)),
        ('hvc', _dump_values(host.hypercalls)),
        ('caches', host.own_caches),
        ('ipa', host.ipa_bits),
        ('page', host.page_size),
        ('huge', host.huge_page_sizes),
        ('cntfrq', host.cntfrq),
        ('dczid', host.dczid),
        ('hwcap', host.hwcap and [_hex(h) for h in host.hwcap]),
        ('kernel', host.kernel),
        ('qemu', host.qemu),
        ('libvirt', host.libvirt),
        ('absent', dict(sorted(host.absent)) or None),
    )


def dump_guest(guest: Guest) -> str:
    """Return a guest profile as its one canonical JSON text."""
    return _dump(
        ('schema', SCHEMAS[guest.vgic is not None]),
        ('kind', 'guest'),
        *_common(guest),
        ('disabled', sorted(guest.disabled)),
        ('sve_passed', guest.sve_passed),
        ('gic', guest.gic),
        ('vgic', dump_vgics(guest.vgic and (guest.vgic,))),
        ('cores', _dump_cores(guest.cores) or None),
        ('memory', guest.memory),
        ('ipa', guest.ipa_bits),
        ('ipa_passed', guest.ipa_passed),
        ('steal', guest.steal_time),
        ('cntfrq', guest.cntfrq),
        ('dczid', guest.dczid),
        ('page', guest.page_size),
        ('kernel', guest.kernel),
        ('qemu', guest.qemu),
        ('inferred', guest.inferred or None),
    )


def load_host(text: str) -> Host:
    """Return the host profile of a JSON text.

    :raises ProfileError: if the text is not a host profile
    """
    return host_from(_parse(text))


def load_guest(text: str) -> Guest:
    """Return the guest profile of a JSON text.

    :raises ProfileError: if the text is not a guest profile
    """
    return guest_from(_parse(text))


def load(text: str) -> Host | Guest:
    """Return the profile of a JSON text, whichever of the two it is.

    :raises ProfileError: if the text is not a profile
    """
    record = _parse(text)
    return (
        guest_from(record)
        if record.get('kind') == 'guest'
        else host_from(record)
    )


def host_from(record: object) -> Host:
    """Return the host profile of a decoded JSON object.

    :raises ProfileError: if the object is not a host profile
    """
    r = _Reader(record, 'host')
    return Host(
        cores=r.cores(),
        values=r.values('values') or Values(),
        listed=r.codes('listed'),
        sve_lengths=r.sve('sve'),
        writable=r.values('writable'),
        features=r.names('features', FEATURES),
        capabilities=r.capabilities(),
        gic=r.numbers('gic', 2, 15),
        vgics=r.vgics(),
        tried=r.tried(),
        hypercalls=r.values('hvc'),
        own_caches=r.maybe_flag('caches'),
        ipa_bits=r.number('ipa', _LEAST_IPA_BITS, 64),
        page_size=r.page(),
        huge_page_sizes=r.huge_pages(),
        cntfrq=r.number('cntfrq', 0, forms.U32),
        dczid=r.number('dczid', 0, forms.U64),
        hwcap=r.hwcap(),
        kernel=r.text('kernel'),
        qemu=r.text('qemu'),
        libvirt=r.text('libvirt'),
        absent=r.absent(),
    )


def guest_from(record: object) -> Guest:
    """Return the guest profile of a decoded JSON object.

    :raises ProfileError: if the object is not a guest profile
    """
    r = _Reader(record, 'guest')
    gic = r.number('gic', 2, 15)
    return Guest(
        values=r.values('values') or Values(),
        listed=r.codes('listed'),
        sve_lengths=r.sve('sve'),
        sve_passed=r.sve('sve_passed'),
        disabled=r.names('disabled', DISABLED_NAMES),
        gic=gic,
        vgic=r.vgic(gic),
        cores=r.cores(),
        memory=r.number('memory', 0, 1 << 52),
        ipa_bits=r.number('ipa', _LEAST_IPA_BITS, 64),
        ipa_passed=r.number('ipa_passed', _LEAST_IPA_BITS, 64),
        steal_time=r.maybe_flag('steal'),
        cntfrq=r.number('cntfrq', 0, forms.U32),
        dczid=r.number('dczid', 0, forms.U64),
        page_size=r.page(),
        kernel=r.text('kernel'),
        qemu=r.text('qemu'),
        inferred=r.flag('inferred'),
    )


def _is_probed(host: Host) -> bool:
    """Whether a host's profile has something of schema 2."""
    return any(
        value is not None
        for value in (host.vgics, host.tried, host.hypercalls, host.own_caches)
    )


def _common(profile: Host | Guest) -> tuple[tuple[str, Any], ...]:
    return (
        ('values', _dump_values(profile.values)),
        (
            'listed',
            None if profile.listed is None else dump_codes(profile.listed),
        ),
        ('sve', profile.sve_lengths),
    )


def _dump(*items: tuple[str, Any]) -> str:
    """Write the items in their order; what is None is left out."""
    return json.dumps(
        {key: value for key, value in items if value is not None},
        separators=(',', ':'),
    )


def _dump_cores(cores: Iterable[Core]) -> list[list[str | None]]:
    return [
        [_hex(c.midr), _hex(c.revidr), _hex(c.aidr), c.cpus] for c in cores
    ]


def _hex(value: int | None) -> str | None:
    return None if value is None else f'{value:x}'


def _dump_values(values: Values | None) -> dict[str, str] | None:
    if values is None:
        return None
    return {f'{code:x}': f'{value:x}' for code, value in values.items()}


def runs(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Return numbers as ascending runs: (first, last) of each."""
    found: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if found and number == found[-1][1] + 1:
            found[-1] = found[-1][0], number
        else:
            found.append((number, number))
    return found


def dump_codes(codes: Iterable[int]) -> str:
    """Return a set of codes as ascending runs: ``8004+3 c000 140000+3``."""
    return ' '.join(
        f'{a:x}' if a == b else f'{a:x}+{b - a:x}' for a, b in runs(codes)
    )


def _parse(text: str) -> dict[str, Any]:
    if len(text) > LONGEST:
        raise ProfileError(
            f'record has {len(text)} characters, more than {LONGEST}'
        )
    try:
        record = json.loads(
            text,
            object_pairs_hook=forms.unique,
            parse_constant=forms.no_constant,
        )
    except ProfileError:
        raise
    except (ValueError, RecursionError):
        raise ProfileError('record is not JSON') from None
    if not isinstance(record, dict):
        raise ProfileError('record is not a JSON object')
    return record


class _Reader:
    """Takes a decoded record apart, checking as it goes."""

    def __init__(self, record: object, kind: str) -> None:
        if not isinstance(record, dict):
            raise ProfileError('record is not a JSON object')
        schema = record.get('schema')
        if type(schema) is not int or schema not in SCHEMAS:
            raise ProfileError(
                f'record has schema {forms.quote(schema)}, this version reads'
                f' {SCHEMAS[0]} and {SCHEMAS[1]}'
            )
        if record.get('kind') != kind:
            raise ProfileError(
                f'record is a {forms.quote(record.get("kind"))}, not a {kind}'
                ' profile'
            )
        since_2 = [
            key for key in _SINCE_2[kind] if record.get(key) is not None
        ]
        if (schema > 1) is not bool(since_2):
            raise ProfileError(
                f'record has schema {schema} and '
                + (
                    f'{since_2[0]}, which is of schema 2'
                    if since_2
                    else 'nothing of it'
                )
            )
        self._record = record

    def _take(self, key: str, kind: type, what: str) -> Any:
        value = self._record.get(key)
        if value is not None and type(value) is not kind:
            raise ProfileError(f'{key}: {forms.quote(value)} is not {what}')
        return value

    def _list(self, key: str, most: int = _MOST_ITEMS) -> list[Any] | None:
        value: list[Any] | None = self._take(key, list, 'a list')
        if value is not None and len(value) > most:
            raise ProfileError(f'{key}: more than {most} items')
        return value

    def _object(self, key: str, most: int) -> dict[str, Any] | None:
        value: dict[str, Any] | None = self._take(key, dict, 'an object')
        if value is not None and len(value) > most:
            raise ProfileError(f'{key}: more than {most} items')
        return value

    def number(self, key: str, least: int, most: int) -> int | None:
        value = self._record.get(key)
        return None if value is None else _int(key, value, least, most)

    def numbers(
        self, key: str, least: int, most: int
    ) -> tuple[int, ...] | None:
        value = self._list(key)
        if value is None:
            return None
        return _ascending(
            key, [_int(key, item, least, most) for item in value]
        )

    def page(self) -> int | None:
        return forms.page_size('page', self.number('page', 0, forms.U32))

    def huge_pages(self) -> tuple[int, ...] | None:
        return forms.huge_page_sizes(
            'huge', self.numbers('huge', 4096, 1 << 48)
        )

    def text(self, key: str) -> str | None:
        value = self._take(key, str, 'a text')
        return None if value is None else forms.match(key, value, _TEXT)

    def flag(self, key: str) -> bool:
        return bool(self.maybe_flag(key))

    def maybe_flag(self, key: str) -> bool | None:
        value: bool | None = self._take(key, bool, 'true or false')
        return value

    def vgics(self) -> tuple[Vgic, ...] | None:
        return load_vgics(self._record.get('vgic'))

    def vgic(self, version: int | None) -> Vgic | None:
        vgics = self.vgics()
        if vgics is None:
            return None
        if [vgic.version for vgic in vgics] != [version]:
            raise ProfileError("vgic: not the one of the guest's GIC")
        return vgics[0]

    def tried(self) -> Tried | None:
        return load_tried(self._record.get('tried'))

    def names(self, key: str, known: Iterable[str]) -> frozenset[str]:
        names = frozenset(
            _ascending(
                key,
                [
                    forms.match(key, item, _NAME)
                    for item in self._list(key) or []
                ],
            )
        )
        unknown = sorted(names.difference(known))
        if unknown:
            raise ProfileError(
                f'{key}: unknown name {forms.quote(unknown[0])}'
            )
        return names

    def sve(self, key: str) -> tuple[int, ...] | None:
        lengths = self.numbers(key, SVE_LENGTHS[0], SVE_LENGTHS[-1])
        if lengths and any(bits not in SVE_LENGTHS for bits in lengths):
            raise ProfileError(f'{key}: a length is not a multiple of 128')
        return lengths

    def hwcap(self) -> tuple[int, ...] | None:
        value = self._list('hwcap')
        return (
            None
            if value is None
            else tuple(forms.unhex('hwcap', item) for item in value)
        )

    def values(self, key: str) -> Values | None:
        value = self._object(key, _MOST_REGISTERS)
        if value is None:
            return None
        return Values(
            {
                forms.unhex(key, code, forms.CODE): forms.unhex(key, item)
                for code, item in value.items()
            }
        )

    def codes(self, key: str) -> frozenset[int] | None:
        value = self._take(key, str, 'a text')
        return None if value is None else load_codes(key, value)

    def cores(self) -> tuple[Core, ...]:
        cores = []
        for item in self._list('cores') or ():
            if type(item) is not list or len(item) != 4:
                raise ProfileError('cores: not [MIDR, REVIDR, AIDR, CPUs]')
            midr, revidr, aidr, cpus = item
            cores.append(
                Core(
                    forms.unhex('cores', midr),
                    _maybe(revidr),
                    _maybe(aidr),
                    forms.match('cores', cpus, _CPUS),
                )
            )
        forms.check_cpus('cores', [core.cpus for core in cores])
        return tuple(cores)

    def capabilities(self) -> tuple[tuple[str, int], ...]:
        value = self._object('caps', _MOST_ITEMS) or {}
        return tuple(
            sorted(
                (
                    forms.match('caps', name, _NAME),
                    _int('caps', number, 0, (1 << 31) - 1),
                )
                for name, number in value.items()
            )
        )

    def absent(self) -> tuple[tuple[str, str], ...]:
        value = self._object('absent', _MOST_ITEMS) or {}
        return tuple(
            sorted(
                (
                    forms.match('absent', name, _NAME),
                    forms.match('absent', why, _TEXT),
                )
                for name, why in value.items()
            )
        )


def load_codes(key: str, text: str) -> frozenset[int]:
    """Return the codes of a text that `dump_codes` wrote.

    :param key: names the text in the error
    :raises ProfileError: if it is not such a text
    """
    codes: set[int] = set()
    last = -2
    for run in text.split(' ') if text else ():
        match = _RUN.fullmatch(run)
        if match is None:
            raise ProfileError(
                f'{key}: {forms.quote(run)} is not a run of codes'
            )
        start = int(match[1], 16)
        if start < last + 2:
            raise ProfileError(f'{key}: not in ascending runs')
        last = start + int(match[2] or '0', 16)
        if last > forms.CODE:
            raise ProfileError(f'{key}: {forms.quote(run)} is too large')
        codes.update(range(start, last + 1))
        if len(codes) > _MOST_REGISTERS:
            raise ProfileError(f'{key}: more than {_MOST_REGISTERS} codes')
    return frozenset(codes)


def _int(key: str, value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ProfileError(
            f'{key}: {forms.quote(value)} is not a number from'
            f' {least} to {most}'
        )
    return value


def _ascending(key: str, items: list[_T]) -> tuple[_T, ...]:
    if items != sorted(set(items)):
        raise ProfileError(f'{key}: not in ascending order')
    return tuple(items)


def _maybe(value: object) -> int | None:
    return None if value is None else forms.unhex('cores', value)
