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

"""The name of a core, from MIDR_EL1.

Implementers use the same part number for different cores, so both numbers are
always matched. Sources: ``arch/arm64/include/asm/cputype.h`` of
Linux, the implementers' manuals.
"""

IMPLEMENTERS = {
    0x41: 'Arm',
    0x42: 'Broadcom',
    0x43: 'Cavium',
    0x46: 'Fujitsu',
    0x48: 'HiSilicon',
    0x4E: 'NVIDIA',
    0x50: 'APM',
    0x51: 'Qualcomm',
    0x61: 'Apple',
    0x6D: 'Microsoft',
    0x70: 'Phytium',
    0xC0: 'Ampere',
}

#: The core's name by (implementer, part number).
CORES = {
    (0x41, 0xD03): 'Cortex-A53',
    (0x41, 0xD05): 'Cortex-A55',
    (0x41, 0xD07): 'Cortex-A57',
    (0x41, 0xD08): 'Cortex-A72',
    (0x41, 0xD0B): 'Cortex-A76',
    (0x41, 0xD0C): 'Neoverse-N1',
    (0x41, 0xD40): 'Neoverse-V1',
    (0x41, 0xD41): 'Cortex-A78',
    (0x41, 0xD44): 'Cortex-X1',
    (0x41, 0xD47): 'Cortex-A710',
    (0x41, 0xD48): 'Cortex-X2',
    (0x41, 0xD49): 'Neoverse-N2',
    (0x41, 0xD4A): 'Neoverse-E1',
    (0x41, 0xD4E): 'Cortex-X3',
    (0x41, 0xD4F): 'Neoverse-V2',
    (0x41, 0xD82): 'Cortex-X4',
    (0x41, 0xD83): 'Neoverse-V3AE',
    (0x41, 0xD84): 'Neoverse-V3',
    (0x41, 0xD85): 'Cortex-X925',
    (0x41, 0xD8E): 'Neoverse-N3',
    (0x42, 0x516): 'Vulcan',
    (0x43, 0x0A1): 'ThunderX',
    (0x43, 0x0AF): 'ThunderX2',
    (0x43, 0x0B8): 'ThunderX3',
    (0x46, 0x001): 'A64FX',
    (0x48, 0xD01): 'TSV110 (Kunpeng 920)',
    (0x48, 0xD02): 'HIP09',
    (0x48, 0xD03): 'Kunpeng-920-V2',
    (0x48, 0xD06): 'HIP12',
    (0x4E, 0x004): 'Carmel',
    (0x4E, 0x010): 'Olympus',
    (0x50, 0x000): 'X-Gene',
    (0x51, 0xC00): 'Falkor',
    (0x51, 0x001): 'Oryon',
    (0x61, 0x022): 'M1 Icestorm',
    (0x61, 0x023): 'M1 Firestorm',
    (0x61, 0x032): 'M2 Blizzard',
    (0x61, 0x033): 'M2 Avalanche',
    (0x6D, 0xD49): 'Cobalt 100',
    (0x70, 0x662): 'FT-2000+',
    (0x70, 0x663): 'S2500',
    (0x70, 0x862): 'S5000C',
    (0xC0, 0xAC3): 'Ampere-1',
    (0xC0, 0xAC4): 'Ampere-1A',
}


def core_name(midr: int) -> str:
    """Return a core's name and revision: ``Neoverse-N1 r3p1``.

    A core that the table lacks is named by its numbers; no name is guessed.
    Source: Arm ARM, MIDR_EL1 (Implementer, Variant, PartNum, Revision).
    """
    implementer, part = midr >> 24 & 0xFF, midr >> 4 & 0xFFF
    revision = f'r{midr >> 20 & 0xF}p{midr & 0xF}'
    name = CORES.get((implementer, part))
    if name is None:
        vendor = IMPLEMENTERS.get(
            implementer, f'implementer {implementer:#04x}'
        )
        name = f'{vendor} part {part:#05x}'
    return f'{name} {revision}'
