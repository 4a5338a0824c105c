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

``dump_host`` returns the same bytes for the same host: fixed key order, no
white space, lower-case hexadecimal, ascending lists. ``load_host`` does not
trust a record, because it comes from another host's database row. It checks
the bounds of every number. It accepts a value only in the form that
``dump_host`` writes, and refuses what could be read in two ways. It ignores
unknown keys, so that a record with a later minor change is still readable.
Every error is a `ProfileError`.
"""

import json
from typing import Any
from typing import TypeVar

from nova_arm_migrate.core import forms
from nova_arm_migrate.core.attributes import Attribute
from nova_arm_migrate.core.attributes import attributes_of
from nova_arm_migrate.core.errors import ProfileError
from nova_arm_migrate.core.profile import Guest
from nova_arm_migrate.core.profile import Host

_Profile = TypeVar('_Profile', Host, Guest)

#: The schemas that this code reads. Records of schema 1 have no tries and no
#: GIC, and their registers are those of a machine without a GIC. A profile
#: without these is written with schema 1, so that a loaded record is written
#: unchanged and older code can read it.
SCHEMAS = (1, 2)
#: Characters; the record of a host with the newest kernel has under 4096.
LONGEST = 16384


def dump_host(host: Host) -> str:
    """Return the canonical JSON text of a host's profile."""
    return _dump('host', host)


def dump_guest(guest: Guest) -> str:
    """Return the canonical JSON text of a guest's profile."""
    return _dump('guest', guest)


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
    """Return the profile of a JSON text, of a host or of a guest.

    :raises ProfileError: if the text is not a profile
    """
    record = _parse(text)
    if record.get('kind') == 'guest':
        return guest_from(record)
    return host_from(record)


def host_from(record: object) -> Host:
    """Return the host profile of a decoded JSON object.

    :raises ProfileError: if the object is not a host profile
    """
    return _load('host', Host, record)


def guest_from(record: object) -> Guest:
    """Return the guest profile of a decoded JSON object.

    :raises ProfileError: if the object is not a guest profile
    """
    guest = _load('guest', Guest, record)
    if guest.vgic is not None and guest.vgic.version != guest.gic:
        raise ProfileError("vgic: not of the version of the guest's GIC")
    return guest


def _dump(kind: str, profile: Host | Guest) -> str:
    """Write the attributes in their order, without defaults."""
    items: dict[str, Any] = {'schema': SCHEMAS[0], 'kind': kind}
    for one in attributes_of(type(profile)):
        value = getattr(profile, one.name)
        if one.always or (value is not None and value != one.default):
            items[one.key] = one.form.dump(value)
            items['schema'] = max(items['schema'], one.since)
    return json.dumps(items, separators=(',', ':'))


def _load(kind: str, profile: type[_Profile], record: object) -> _Profile:
    attributes = attributes_of(profile)
    known = _checked(kind, attributes, record)
    return profile(
        **{
            one.name: one.default
            if known.get(one.key) is None
            else one.form.load(one.key, known[one.key])
            for one in attributes
        }
    )


def _checked(
    kind: str, attributes: tuple[Attribute, ...], record: object
) -> dict[str, Any]:
    """Return a record whose kind and schema are as they must be."""
    if not isinstance(record, dict):
        raise ProfileError('record is not a JSON object')
    schema = record.get('schema')
    if type(schema) is not int or schema not in SCHEMAS:
        raise ProfileError(
            f'record has schema {forms.quote(schema)}; this version reads'
            f' {SCHEMAS[0]} and {SCHEMAS[1]}'
        )
    if record.get('kind') != kind:
        raise ProfileError(
            f'record is a {forms.quote(record.get("kind"))}, not a {kind}'
            ' profile'
        )
    since_2 = [
        one.key
        for one in attributes
        if one.since > 1 and record.get(one.key) is not None
    ]
    if (schema > 1) is not bool(since_2):
        raise ProfileError(
            f'record has schema {schema} and '
            + (
                f'the key {since_2[0]} of schema 2'
                if since_2
                else 'none of its keys'
            )
        )
    return record


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
