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


"""Why a host could not be probed: one line each, with the mend."""


class ProbeError(Exception):
    """A host, or a part of it, could not be read.

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
    """There is no KVM to ask."""

    def __init__(self, device: str, reason: str) -> None:
        super().__init__(
            f'{device}: {reason}; load KVM (modprobe kvm), and see in dmesg'
            ' that the kernel was started at EL2'
        )


class NoPermission(ProbeError):
    """KVM is there, but not for this user."""

    def __init__(self, device: str) -> None:
        super().__init__(
            f'{device}: permission denied; run as root or add the user to'
            ' the group kvm'
        )


class KvmFailed(ProbeError):
    """KVM refused what it is asked of every virtual machine.

    :ivar errno: of the system call
    :ivar reason: its name
    """

    def __init__(self, what: str, errno: int, reason: str) -> None:
        super().__init__(f"{what}: {reason}; see dmesg for KVM's messages")
        self.errno = errno
        self.reason = reason
