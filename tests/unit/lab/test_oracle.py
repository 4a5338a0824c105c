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

from typing import Any
from unittest import mock

import testtools

from nova_arm_migrate.core import profile
from nova_arm_migrate.core import registers
from tests.lab import guest as guests
from tests.lab import oracle

MIDR = registers.sysreg(3, 0, 0, 0, 0)
PFR0 = registers.sysreg(3, 0, 0, 4, 0)


def answer(**changes: Any) -> dict[str, Any]:
    return {
        'ran': True,
        'why_not': '',
        'refused': [],
        'missing': [],
        'unjudged': [],
        'written': 2,
    } | changes


class SaidTest(testtools.TestCase):
    """A guest and hosts that differ in one register."""

    def guest(self, midr: int) -> profile.Guest:
        return profile.Guest(
            values=profile.Values({MIDR: midr}),
            reg_list=frozenset([MIDR, PFR0]),
            cntfrq=1,
            dczid=4,
            page_size=4096,
            ipa_bits=48,
            steal_time=False,
        )

    def host(self, midr: int) -> profile.Host:
        return profile.Host(
            cores=(profile.Core(midr, 0, None, '0'),),
            values=profile.Values({MIDR: midr}),
            writable=profile.Values({}),
            reg_list=frozenset([MIDR, PFR0]),
            gic=(3,),
            sve_lengths=(),
            cntfrq=1,
            dczid=4,
            page_size=4096,
            ipa_bits=48,
        )

    def test_both_accept(self) -> None:
        said = oracle.said(self.guest(5), self.host(5), answer())
        self.assertEqual(
            ('compatible', 'accepts', 'compatible', ''),
            (said.static, said.trial, said.verdict, said.why),
        )
        self.assertEqual('passes', said.scheduler)

    def test_both_refuse(self) -> None:
        said = oracle.said(
            self.guest(4), self.host(5), answer(refused=[[MIDR, 'EINVAL']])
        )
        self.assertEqual(
            ('incompatible', 'refuses', 'incompatible'),
            (said.static, said.trial, said.verdict),
        )
        self.assertIn('MIDR_EL1', said.why)
        self.assertEqual('drops', said.scheduler)

    def test_a_disagreement_names_the_register(self) -> None:
        said = oracle.said(
            self.guest(5), self.host(5), answer(refused=[[MIDR, 'EINVAL']])
        )
        self.assertEqual(
            ('compatible', 'refuses', 'incompatible'),
            (said.static, said.trial, said.verdict),
        )
        self.assertIn('MIDR_EL1: rule accepted, trial EINVAL', said.why)

    def test_a_trial_that_was_not_made(self) -> None:
        said = oracle.said(
            self.guest(5), self.host(5), answer(ran=False, why_not='no list')
        )
        self.assertEqual(('not run', 'no list'), (said.trial, said.why))

    def test_the_guests_midr(self) -> None:
        self.assertEqual(0x411FD402, oracle.midr(self.guest(0x411FD402)))


class PlayedLab:
    """Notes what is done with the hosts; nothing is started."""

    def __init__(self) -> None:
        self.awake: set[str] = set()
        self.channels: dict[str, mock.Mock] = {}

    def up(self, *specs: str) -> list[mock.Mock]:
        self.awake.update(specs)
        return [self.host(one) for one in specs]

    def host(self, name: str) -> mock.Mock:
        host = mock.Mock()
        host.name = name
        host.pause = lambda: self.awake.remove(name)
        self.channels[name] = host.channel
        return host


class StartedTest(testtools.TestCase):
    def test_two_at_a_time_and_paused_after_use(self) -> None:
        patcher = mock.patch.object(guests, 'prepare', autospec=True)
        prepared = patcher.start()
        self.addCleanup(patcher.stop)
        lab: Any = PlayedLab()
        specs: Any = ['a', 'b', 'c']
        seen = []
        for host in oracle.started(lab, specs):
            lab.channels[host.name].put.assert_called()
            prepared.assert_any_call(host)
            seen.append((host.name, sorted(lab.awake)))
        self.assertEqual([('a', ['a', 'b']), ('b', ['b']), ('c', ['c'])], seen)
        self.assertEqual(set(), lab.awake)


class LibvirtTest(testtools.TestCase):
    def test_words(self) -> None:
        for output, failure, words in (
            (
                'CPU described in /tmp/x is identical to host CPU\n',
                '',
                'identical',
            ),
            (
                'The CPU is a superset of CPU described in /tmp/x\n',
                '',
                'superset',
            ),
            (
                'CPU described in /tmp/x is incompatible with host CPU\n',
                '',
                'incompatible',
            ),
            (
                '',
                'error: Failed to compare\nerror: Operation not '
                'supported: QEMU does not support reporting CPU model for '
                "virttype 'kvm'",
                'error: unsupported',
            ),
            (
                '',
                'error: XML error: missing CPU model',
                'error: XML error: missing CPU model',
            ),
        ):
            self.assertEqual(words, oracle.libvirt_words(output, failure))

    def test_the_hosts_cpu(self) -> None:
        self.assertEqual(
            '<cpu><arch>aarch64</arch></cpu>',
            oracle.cpu_xml(
                '<capabilities><host><cpu><arch>aarch64</arch>'
                '</cpu></host></capabilities>'
            ).strip(),
        )
        self.assertEqual(
            '<cpu/>', oracle.cpu_xml('<capabilities><host/></capabilities>')
        )
