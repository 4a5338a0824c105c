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


"""KVM's file descriptors, and the calls on them."""

import errno
import fcntl
import os
import struct
import types
from typing import Any
from typing import TypeVar

from nova_arm_migrate.probe.errors import KvmFailed

KVM_SET_DEVICE_ATTR = 0x4018AEE1
KVM_GET_DEVICE_ATTR = 0x4018AEE2
KVM_HAS_DEVICE_ATTR = 0x4018AEE3

_D = TypeVar('_D', bound='Descriptor')


def retried(descriptor: int, request: int, argument: Any = 0) -> int:
    """Call ioctl(2); repeat the call if a signal interrupts it.

    :raises OSError: as ioctl(2)
    """
    while True:
        try:
            result: int = fcntl.ioctl(descriptor, request, argument)
            return result
        except InterruptedError:
            continue


def errno_name(number: int) -> str:
    """Return the name of an errno: ``EINVAL``."""
    return errno.errorcode.get(number, str(number))


def failed(what: str, error: OSError) -> KvmFailed:
    """Return the error of a call that KVM refused."""
    number = error.errno or 0
    return KvmFailed(what, number, errno_name(number))


class Descriptor:
    """Owns one file descriptor, and closes it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def close(self) -> None:
        """Close the descriptor; a second call does nothing."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __enter__(self: _D) -> _D:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: types.TracebackType | None,
    ) -> None:
        self.close()

    def _call(self, what: str, request: int, argument: Any = 0) -> int:
        try:
            return retried(self._descriptor, request, argument)
        except OSError as error:
            raise failed(what, error) from None

    def _attribute(
        self,
        what: str,
        request: int,
        group: int,
        attribute: int,
        address: int = 0,
    ) -> None:
        """Call with a struct kvm_device_attr.

        :param address: of the value; 0 if there is none
        :raises KvmFailed: if KVM refuses it
        """
        self._call(
            what,
            request,
            bytearray(struct.pack('=IIQQ', 0, group, attribute, address)),
        )
