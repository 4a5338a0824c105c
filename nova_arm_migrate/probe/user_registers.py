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


"""Registers that a user program may read: CNTFRQ_EL0 and DCZID_EL0.

KVM does not virtualise them: a guest reads the hardware's values. No file
shows them, so this module runs the MRS instruction. Linux lets EL0 read both
on every Arm64 machine; it traps and emulates the read if an erratum needs it.
"""

import mmap
import os
import struct

from nova_arm_migrate.probe.errors import ProbeError

# Arm ARM, C6.2: MRS <Xt>, S<op0>_<op1>_<Cn>_<Cm>_<op2> and RET.
_RET = 0xD65F03C0
#: mrs x0, cntfrq_el0 (S3_3_C14_C0_0)
CNTFRQ_EL0 = 0xD53BE000
#: mrs x0, dczid_el0 (S3_3_C0_C0_7)
DCZID_EL0 = 0xD53B00E0


def read(instruction: int) -> int:
    """Run one MRS to x0, and return the value.

    :param instruction: CNTFRQ_EL0 or DCZID_EL0
    :raises ProbeError: if this is not an Arm64 machine, Python has no ctypes,
        or the code can't be mapped
    """
    machine = os.uname().machine
    if machine != 'aarch64':
        raise ProbeError(f'needs an Arm64 machine, this is {machine}')
    return run(struct.pack('<II', instruction, _RET))


def run(code: bytes) -> int:
    """Call machine code that has no arguments and returns 64 bits.

    The code is written to a file and then mapped for reading and executing,
    never for writing: service managers and SELinux forbid memory that is both
    writable and executable.

    :raises ProbeError: if Python has no ctypes, or the code can't be mapped
    """
    try:
        import ctypes
    except ImportError:
        raise ProbeError('this Python has no ctypes to read it with') from None
    try:
        file = os.memfd_create('nova-arm-migrate', os.MFD_CLOEXEC)
    except OSError as error:
        raise ProbeError(f'memfd_create: {error.strerror}') from None
    try:
        os.write(file, code)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.mmap.restype = ctypes.c_void_p
        libc.mmap.argtypes = (
            ctypes.c_void_p,
            ctypes.c_size_t,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_int,
            ctypes.c_long,
        )
        libc.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
        address = libc.mmap(
            None,
            mmap.PAGESIZE,
            mmap.PROT_READ | mmap.PROT_EXEC,
            mmap.MAP_PRIVATE,
            file,
            0,
        )
        if address in (None, ctypes.c_void_p(-1).value):
            reason = os.strerror(ctypes.get_errno())
            raise ProbeError(f'code cannot be mapped to read it: {reason}')
        try:
            function = ctypes.CFUNCTYPE(ctypes.c_uint64)(address)
            return int(function())
        finally:
            libc.munmap(address, mmap.PAGESIZE)
    finally:
        os.close(file)
