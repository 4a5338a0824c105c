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


"""Check that a rewrite does not change what the guest can see."""

from lxml import etree

from nova_arm_migrate.numa.errors import AbiError

#: Children of ``<domain>`` that say how the host runs the guest. All others
#: are compared, including those that this version does not know.
#: ``<devices>`` has host and guest settings, and Nova rewrites it (volumes,
#: ports, consoles); libvirt compares it when the migration begins
#: (``virDomainDefCheckABIStability``).
HOST_SIDE = frozenset(
    {
        'blkiotune',
        'cputune',
        'devices',
        'memoryBacking',
        'memtune',
        'metadata',
        'numatune',
        'perf',
        'resource',
        'seclabel',
    }
)

#: Attributes of ``<vcpu>`` that say where it runs, not how many there are.
_VCPU_HOST_SIDE = frozenset({'cpuset', 'placement'})


def check(before: etree._Element, after: etree._Element) -> None:
    """Compare everything that the guest can see in two domains.

    :raises AbiError: names the path of the first difference
    """
    _check_attributes(before, after, '/domain', frozenset({'id'}))
    _check_children(before, after, '/domain')


def _check_children(
    before: etree._Element, after: etree._Element, path: str
) -> None:
    top = path == '/domain'
    olds, news = _children(before, top), _children(after, top)
    seen: dict[str, int] = {}
    for old, new in zip(olds, news):
        if old.tag != new.tag:
            raise AbiError(
                f'{path}/{_name(old)}', f'is <{_name(new)}> afterwards'
            )
        name = _name(old)
        seen[name] = seen.get(name, 0) + 1
        if not (top and _same(old, new)):
            _check_element(old, new, f'{path}/{name}[{seen[name]}]')
    if len(olds) > len(news):
        raise AbiError(
            f'{path}/{_name(olds[len(news)])}', 'is missing afterwards'
        )
    if len(news) > len(olds):
        raise AbiError(
            f'{path}/{_name(news[len(olds)])}', 'was not there before'
        )


def _check_element(
    old: etree._Element, new: etree._Element, path: str
) -> None:
    ignored = _VCPU_HOST_SIDE if path == '/domain/vcpu[1]' else frozenset()
    _check_attributes(old, new, path, ignored)
    if _text(old) != _text(new):
        raise AbiError(
            path,
            f'was {_text(old)[:40]!r} before and is'
            f' {_text(new)[:40]!r} afterwards',
        )
    _check_children(old, new, path)


def _check_attributes(
    old: etree._Element,
    new: etree._Element,
    path: str,
    ignored: frozenset[str],
) -> None:
    if old.attrib == new.attrib:
        return
    for name in sorted(({*old.attrib} | {*new.attrib}) - ignored):
        if old.get(name) != new.get(name):
            raise AbiError(
                f'{path}/@{name}',
                f'was {old.get(name)!r} before'
                f' and is {new.get(name)!r} afterwards',
            )


def _children(element: etree._Element, top: bool) -> list[etree._Element]:
    # Comments and processing instructions have no text as their tag.
    return [
        child
        for child in element
        if isinstance(child.tag, str) and not (top and child.tag in HOST_SIDE)
    ]


def _same(old: etree._Element, new: etree._Element) -> bool:
    """Whether the texts are identical: a fast check, true for most."""
    return etree.tostring(old, with_tail=False) == etree.tostring(
        new, with_tail=False
    )


def _name(element: etree._Element) -> str:
    return etree.QName(element).localname


def _text(element: etree._Element) -> str:
    return (element.text or '').strip()
