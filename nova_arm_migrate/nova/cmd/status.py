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


"""``nova-arm-migrate-status upgrade check``: checks the cloud's set-up.

nova-status does not accept checks of other packages, so this is a separate
command. It reads nova.conf and Nova's databases and changes nothing.
``nova-arm-migrate-status baseline guests`` lists guests that need a hard
reboot.
"""

import argparse
from collections.abc import Iterator
import importlib.util
import os
import sys
from typing import Any

from nova import config
from nova import context as nova_context
from nova import objects
import nova.conf
from nova.scheduler import filters
from oslo_config import cfg
from oslo_upgradecheck import upgradecheck

from nova_arm_migrate.cli import output
from nova_arm_migrate.core.profile import Host
from nova_arm_migrate.nova import conf
from nova_arm_migrate.nova import release
from nova_arm_migrate.nova import signatures
from nova_arm_migrate.nova.baseline import versions
from nova_arm_migrate.nova.cmd import baseline_guests
from nova_arm_migrate.nova.cmd import fleet_checks
from nova_arm_migrate.nova.cmd import moved_guests
from nova_arm_migrate.nova.options import Enforcement
from nova_arm_migrate.nova.options import GROUP
from nova_arm_migrate.nova.options import register_opts
from nova_arm_migrate.nova.scheduler import filter_events
from nova_arm_migrate.nova.scheduler import host_cache
from nova_arm_migrate.nova.scheduler import offers
from nova_arm_migrate.nova.scheduler.arm_filter import ArmMigrateFilter
from nova_arm_migrate.probe import kvm

CONF = nova.conf.CONF
_DRIVER = 'arm_migrate.ArmLibvirtDriver'
#: Computes that a result names.
_MOST_COMPUTES = 10
#: The exit code if the command could not run.
_NOT_RUN = 255
_FILTER = 'nova_arm_migrate.filters.ArmMigrateFilter'


def _success(details: str) -> Any:
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, details)


def _warning(details: str) -> Any:
    return upgradecheck.Result(upgradecheck.Code.WARNING, details)


def _failure(details: str) -> Any:
    return upgradecheck.Result(upgradecheck.Code.FAILURE, details)


def _one_line(error: Exception) -> str:
    first = (str(error).splitlines() or [''])[0]
    return f'{type(error).__name__}: {first[:200]}'


class UpgradeCommands(upgradecheck.UpgradeCommands):
    """The checks; each reports its result in one line."""

    display_title = 'nova-arm-migrate'

    def _check_options(self) -> Any:
        """Whether the options of [arm_migrate] can be read."""
        try:
            settings = conf.settings(CONF)
        except Exception as error:
            return _failure(
                'nova-compute and nova-scheduler do not start:'
                f' {_one_line(error)}'
            )
        if settings.enforcement is not Enforcement.ENFORCE:
            return _warning(
                f'enforcement is {settings.enforcement}: no live'
                ' migration is refused.'
            )
        return _success('enforcement is enforce.')

    def _check_filter(self) -> Any:
        """Whether the scheduler loads and runs the filter."""
        section = CONF.filter_scheduler
        enabled = ArmMigrateFilter.__name__ in section.enabled_filters
        try:
            known = filters.HostFilterHandler().get_matching_classes(
                section.available_filters
            )
        except Exception as error:
            return _failure(
                'nova-scheduler does not start:'
                f' available_filters: {_one_line(error)}'
            )
        if not enabled:
            return _warning(
                '[filter_scheduler] enabled_filters has no ArmMigrateFilter:'
                ' the scheduler also chooses hosts that then refuse the guest.'
            )
        if ArmMigrateFilter not in known:
            return _failure(
                'nova-scheduler does not start. Add to [filter_scheduler]:'
                f' available_filters = {_FILTER}'
            )
        return _success('ArmMigrateFilter is enabled.')

    def _check_driver(self) -> Any:
        """Whether the driver that this file names can be loaded."""
        driver = CONF.compute_driver
        if not driver:
            return _success(
                "compute_driver is not set: this file is not a compute's."
            )
        if driver != _DRIVER:
            return _warning(
                f'compute_driver is {driver}: on an Arm64'
                f' compute it should be {_DRIVER}.'
            )
        if importlib.util.find_spec('nova.virt.arm_migrate') is None:
            return _failure(
                'nova-compute cannot load its driver: nova_arm_migrate.pth'
                ' is not read here; start nova-compute-arm64 instead.'
            )
        return _success(f'compute_driver is {driver}.')

    def _check_release(self) -> Any:
        """Whether this Nova is one that the extension was tested with."""
        moved = list(signatures.moved())
        if moved:
            return _failure(f'nova-compute does not start: {moved[0]}.')
        complaint = release.complaint()
        if complaint:
            return _warning(f'{complaint}.')
        return _success(f'Nova {release.installed()} is supported.')

    def _check_workaround(self) -> Any:
        """Whether Nova's own comparison is switched off."""
        if CONF.workarounds.skip_cpu_compare_on_dest:
            return _warning(
                '[workarounds] skip_cpu_compare_on_dest is set. Arm64 guests'
                ' do not need it, and no CPU is compared for other guests.'
            )
        return _success('No workaround is set.')

    def _check_kvm(self) -> Any:
        """Whether the user of this command can open KVM's device."""
        if not os.path.exists(kvm.DEVICE):
            return _success(f'This machine has no {kvm.DEVICE}: no compute.')
        if not os.access(kvm.DEVICE, os.R_OK | os.W_OK):
            return _warning(
                f'{kvm.DEVICE} can not be opened by the user of this command:'
                ' if nova-compute runs as that user, the record lacks what KVM'
                ' says; add the user to the group of the device.'
            )
        return _success(f'{kvm.DEVICE} can be opened.')

    def _check_fleet(self) -> Any:
        """Whether the records fit together."""
        infos, hosts = {}, {}
        try:
            options = conf.settings(CONF).options
            for name, cpu_info in _cpu_infos():
                found = host_cache.read(cpu_info or '').host
                if isinstance(found, Host):
                    infos[name], hosts[name] = cpu_info or '', found
        except Exception as error:
            return _failure(f'The records can not be read: {_one_line(error)}')
        complaints = [
            said
            for said in (
                fleet_checks.mixed_schemas(infos),
                fleet_checks.several_kinds_of_cores(hosts),
                fleet_checks.outside_every_pool(hosts, options),
            )
            if said
        ]
        if complaints:
            return _warning(f'{"; ".join(complaints)}.')
        return _success(f'{len(hosts)} records have been looked at.')

    def _check_records(self) -> Any:
        """Whether this version can read the record of every Arm64 compute."""
        names, reasons, arm = [], [], 0
        try:
            for name, cpu_info in _cpu_infos():
                info = host_cache.read(cpu_info or '')
                if info.foreign:
                    continue
                arm += 1
                if not isinstance(info.host, Host):
                    names.append(name)
                    reasons.append(info.host)
        except Exception as error:
            return _failure(
                f"Nova's databases cannot be read: {_one_line(error)}"
            )
        if names:
            told, _ = filter_events.group(names, reasons)
            return _warning(
                f'{len(names)} of {arm} Arm64 computes cannot be judged,'
                f' see [arm_migrate] unknown: {told}'
            )
        return _success(
            f'All {arm} Arm64 computes have one.'
            if arm
            else 'There are no Arm64 computes.'
        )

    def _check_baseline(self) -> Any:
        """Whether the Arm64 computes offer the same baselines."""
        name = CONF[GROUP].baseline
        found: dict[str, Host | str] = {}
        try:
            for node, cpu_info in _cpu_infos():
                info = host_cache.read(cpu_info or '')
                if not info.foreign:
                    found[node] = info.host
        except Exception as error:
            return _failure(
                f"Nova's databases cannot be read: {_one_line(error)}"
            )
        faults = []
        lacking = [
            node
            for node, host in found.items()
            if name and not _offers(host, name)
        ]
        if lacking:
            faults.append(
                f'{len(lacking)} Arm64 computes do not offer the guest CPU'
                f' baseline {name} (the log of nova-compute there says'
                f' why): {", ".join(lacking[:_MOST_COMPUTES])}'
            )
        faults += [
            f'computes offer different contents of {identity}: give a changed'
            ' file a new version'
            for identity in offers.contradictions(found.values())
        ]
        if faults:
            return _warning('; '.join(faults))
        if not name:
            return _success('[arm_migrate] baseline is not set.')
        return _success(f'All Arm64 computes offer {name}.')

    def _check_guests(self) -> Any:
        """Whether guests need a hard reboot to get their baseline."""
        reading = baseline_guests.Reading()
        try:
            text = baseline_guests.summary(
                baseline_guests.changes(CONF[GROUP].baseline, reading)
            )
        except Exception as error:
            return _failure(
                f"Nova's databases can not be read: {_one_line(error)}"
            )
        told = '; '.join(filter(None, (text, reading.note)))
        if told:
            return _warning(
                f'{told} ("nova-arm-migrate-status baseline guests" names'
                ' them, and reads more with --limit).'
            )
        return _success('No guest needs a hard reboot to get its baseline.')

    def _check_moved_guests(self) -> Any:
        """Whether guests can go back to where they came from."""
        try:
            found = moved_guests.look(conf.settings(CONF))
        except Exception as error:
            return _failure(
                f"Nova's databases cannot be read: {_one_line(error)}"
            )
        return (_warning if found.stuck else _success)(found.line())

    _upgrade_checks = (
        ('Options', _check_options),
        ('Scheduler filter', _check_filter),
        ('Compute driver', _check_driver),
        ('Nova release', _check_release),
        ('Workaround', _check_workaround),
        ('Guest CPU baseline', _check_baseline),
        ('Guests on baselines', _check_guests),
        ('Guests that have moved', _check_moved_guests),
        ('KVM', _check_kvm),
        ('Fleet', _check_fleet),
        ('Host records', _check_records),
    )


def _offers(host: Host | str, name: str) -> bool:
    return isinstance(host, Host) and any(
        versions.name_of(one) == name for one in host.baselines
    )


def _cpu_infos() -> Iterator[tuple[str, str | None]]:
    """Yield the name and cpu_info of every compute node of every cell."""
    objects.register_all()
    context = nova_context.get_admin_context()
    for cell in objects.CellMappingList.get_all(context):
        if cell.is_cell0():
            continue
        with nova_context.target_cell(context, cell) as cell_context:
            for node in objects.ComputeNodeList.get_all(cell_context):
                yield node.hypervisor_hostname, node.cpu_info


def _list_guests(most: int = baseline_guests.MOST) -> int:
    """Print the guests that a hard reboot gives another baseline.

    :param most: servers to read; 0 for all
    :returns: 0 if there are none, 1 if there are some or not all servers were
        read, 255 if a database can't be read
    """
    reading = baseline_guests.Reading(most)
    try:
        found = list(baseline_guests.changes(CONF[GROUP].baseline, reading))
    except Exception as error:
        return _fails(error)
    for line in baseline_guests.table(found):
        print(line)
    if reading.note:
        print(
            f'nova-arm-migrate-status: {reading.note} (--limit reads more)',
            file=sys.stderr,
        )
    return int(bool(found or reading.note))


def _number(text: str) -> int:
    """Return a number of servers.

    :raises argparse.ArgumentTypeError: if it is none
    """
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 0')
    return int(text)


def _fails(error: Exception) -> int:
    print(f'nova-arm-migrate-status: {_one_line(error)}', file=sys.stderr)
    return _NOT_RUN


def _add_parsers(parsers: Any, commands: UpgradeCommands) -> None:
    """Add the actions; the first one as upgradecheck itself adds it.

    `upgradecheck.register_cli_options` leaves no place for another one.
    """
    upgrade = parsers.add_parser(
        'upgrade', help="check the cloud's set-up before an upgrade"
    )
    upgrade.add_argument('check', choices=['check'])
    upgrade.add_argument(
        '--json', action='store_true', help='print the results as JSON'
    )
    upgrade.set_defaults(action_fn=commands.check)
    baseline = parsers.add_parser(
        'baseline', help='guests on guest CPU baselines'
    )
    baseline.add_argument(
        'guests',
        choices=['guests'],
        help='list the guests that a hard reboot gives another baseline, and'
        ' those whose compute does not offer theirs',
    )
    baseline.add_argument(
        '--limit',
        type=_number,
        default=baseline_guests.MOST,
        metavar='N',
        help='read at most N servers on Arm64 computes, 0 for all'
        ' (default: %(default)s)',
    )
    baseline.set_defaults(action_fn=lambda: _list_guests(CONF.command.limit))


def _run() -> int:
    # As nova-status does it: reading a cell needs the options of
    # osprofiler and oslo.messaging too, which Nova registers here.
    config.parse_args(sys.argv)
    # upgradecheck.main() sets it, but knows nothing of these options.
    upgradecheck.CONF = CONF
    return int(upgradecheck.run(CONF))


def main() -> int:
    """Run the command.

    :returns: 0 if all is well, 1 with warnings, 2 with failures, 255 if the
        checks could not be run
    """
    register_opts(CONF)
    commands = UpgradeCommands()
    CONF.register_cli_opt(
        cfg.SubCommandOpt(
            'command', handler=lambda parsers: _add_parsers(parsers, commands)
        )
    )
    try:
        return output.written(_run)
    except Exception as error:
        output.finish()
        return _fails(error)
