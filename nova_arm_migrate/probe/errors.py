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


"""Why a host could not be probed: one line each, with the remedy."""


class ProbeError(Exception):
    """The probe could not read a host, or a part of it.

    The text is one line of printable ASCII for an operator.
    """


class NotArm64(ProbeError):
    """The machine, or the running Python, is not 64-bit Arm."""

    def __init__(self, machine: str) -> None:
        super().__init__(
            f'this is {machine!a}, not a 64-bit Arm machine; run it on an'
            ' aarch64 host'
        )


class NoKvm(ProbeError):
    """There is no usable KVM."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(
            f'{device}: {reason}; load KVM (modprobe kvm), and check in dmesg'
            ' that the kernel was started at EL2'
        )


class NoPermission(ProbeError):
    """This user may not open KVM's device."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'{device}: permission denied; run as root or add the user to'
            ' the group kvm'
        )


class KvmFailed(ProbeError):
    """KVM refused a call that every virtual machine needs.

    :ivar errno: the error number of the system call
    :ivar reason: the name of that number
    """

    def __init__(self, what: str, errno: int, reason: str) -> None:
        super().__init__(f"{what}: {reason}; see dmesg for KVM's messages")
        self.errno = errno
        self.reason = reason
