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

"""The groups of hosts that are compared: in CI, and for the table.

All hosts of a group run at the same time, but only two are not paused.
"""

# Every ordered pair of a group is done, and the way back after a move.
FULL: tuple[tuple[str, ...], ...] = (
    # Different kernels and QEMUs; PMU; timer frequency.
    (
        'neoverse-n1@bookworm',
        'neoverse-n1@bookworm-backports',
        'neoverse-n1',
        'neoverse-n1@forky',
        'neoverse-n1,pmu=off@forky',
        'neoverse-n1,cntfrq=25000000',
    ),
    # SVE and its lengths, pointer authentication, PMU; two equal hosts.
    (
        'neoverse-v1',
        'neoverse-v1',
        'neoverse-v1,sve=off',
        'neoverse-v1,sve256=off',
        'neoverse-v1,pmu=off',
        'neoverse-v1,pauth=off',
        'neoverse-v1/guest:sve=off',
        'neoverse-v1/guest:pauth=off',
    ),
    # The algorithms of pointer authentication, LPA2, MTE, many lengths.
    (
        'max,pauth-impdef=on@forky',
        'max,pauth-impdef=on,sve=off@forky',
        'max,pauth-qarma3=on,sve-max-vq=4@forky',
        'max,pauth-impdef=on,lpa2=off@forky',
        'max,pauth-impdef=on@forky+mte=1',
        'max,pauth-impdef=on,sve-max-vq=4@forky',
        'max,pauth-impdef=on,pmu=off@forky',
        'max,pauth-impdef=on@forky/guest:sve=off',
    ),
    # Different cores.
    (
        'neoverse-n1',
        'neoverse-v1',
        'neoverse-n2',
        'cortex-a710',
        'cortex-a76',
        'cortex-a72',
        'a64fx',
    ),
    # Kernels and QEMUs again, with SVE and pointer authentication.
    (
        'neoverse-v1@bookworm',
        'neoverse-v1',
        'neoverse-v1@forky',
        'neoverse-v1,sve=off@forky',
        'neoverse-v1@forky/guest:sve=off',
    ),
    # Interrupt controllers, the host's page size, AArch32 at EL0.
    (
        'neoverse-n1',
        'neoverse-n1+gic=2',
        'neoverse-n1@trixie-16k',
        'neoverse-n1+aarch32=0',
    ),
    # Single features, and a kernel update, on other cores.
    (
        'neoverse-n2',
        'neoverse-n2,pmu=off',
        'neoverse-n2,pauth=off',
        'neoverse-n2@forky',
    ),
    (
        'cortex-a710',
        'cortex-a710,sve=off',
        'cortex-a710,pmu=off',
        'cortex-a710@forky',
    ),
    (
        'a64fx',
        'a64fx,sve512=off',
        'a64fx,pmu=off',
        'a64fx@forky',
    ),
    (
        'max,pauth-impdef=on',
        'max,pauth-impdef=on,sve=off',
        'max,pauth-impdef=on,pmu=off',
        'max,pauth-impdef=on@forky',
    ),
    # Memory maps that a small IPA size (40 bits) cuts off: QEMU leaves out
    # the window for PCI memory above 600 GiB.
    (
        'cortex-a710',
        'cortex-a710@forky',
        'cortex-a710/guest:maxmem=64',
        'cortex-a710/guest:maxmem=600',
        'cortex-a710@forky/guest:maxmem=600',
    ),
    # Versions of the interrupt controller.
    (
        'neoverse-v1',
        'neoverse-v1+gic=2',
        'neoverse-v1+gic=4',
    ),
)

CI_HOSTS: tuple[str, ...] = (
    'neoverse-v1',
    'neoverse-v1,sve256=off',
    'neoverse-v1,sve=off',
    'neoverse-n1',
    'neoverse-n1@bookworm',
    'neoverse-n1,cntfrq=25000000',
    'neoverse-v1/guest:sve=off',
)

CI_PAIRS: frozenset[tuple[str, str]] = frozenset(
    {
        # A shorter vector length: nothing refuses it, and the guest breaks.
        ('neoverse-v1', 'neoverse-v1,sve256=off'),
        ('neoverse-v1,sve256=off', 'neoverse-v1'),
        # No SVE at all; only the guest's own SVE matters.
        ('neoverse-v1', 'neoverse-v1,sve=off'),
        ('neoverse-v1,sve=off', 'neoverse-v1'),
        ('neoverse-v1/guest:sve=off', 'neoverse-v1,sve=off'),
        ('neoverse-v1/guest:sve=off', 'neoverse-v1,sve256=off'),
        # To an older kernel and back.
        ('neoverse-n1@bookworm', 'neoverse-n1'),
        ('neoverse-n1', 'neoverse-n1@bookworm'),
        # Another core.
        ('neoverse-n1', 'neoverse-v1'),
        ('neoverse-v1', 'neoverse-n1'),
        # Another timer frequency: nothing refuses it either.
        ('neoverse-n1', 'neoverse-n1,cntfrq=25000000'),
        ('neoverse-n1,cntfrq=25000000', 'neoverse-n1'),
    }
)
