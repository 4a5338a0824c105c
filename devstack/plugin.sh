#!/usr/bin/env bash
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

# devstack plugin of nova-arm-migrate. In local.conf, with the branch, because
# devstack's own default is master:
#
#   enable_plugin nova-arm-migrate <url> main
#
# devstack sources this file once for each stage, with the stage as arguments.
# Install and configuration are by node: a compute gets the driver, a node with
# a scheduler the filter, and both the options.

# Variables of devstack's:
# shellcheck disable=SC2154

_ARM_MIGRATE_XTRACE=$(set +o | grep xtrace)
set +o xtrace

ARM_MIGRATE_COMPUTE_DRIVER=arm_migrate.ArmLibvirtDriver
ARM_MIGRATE_FILTER=ArmMigrateFilter
ARM_MIGRATE_FILTER_CLASS=nova_arm_migrate.filters
ARM_MIGRATE_FILTER_CLASS+=.$ARM_MIGRATE_FILTER
NOVA_ALL_FILTERS=nova.scheduler.filters.all_filters

function _arm_migrate_on_compute {
    is_service_enabled n-cpu && [[ "$NOVA_ARM_MIGRATE_DRIVER" == "True" ]]
}

function _arm_migrate_on_scheduler {
    is_service_enabled n-sch && [[ "$NOVA_ARM_MIGRATE_FILTER" == "True" ]]
}

function _arm_migrate_wanted {
    _arm_migrate_on_compute || _arm_migrate_on_scheduler
}

function check_arm_migrate {
    if _arm_migrate_on_compute && [[ "$VIRT_DRIVER" != "libvirt" ]]; then
        die $LINENO "nova-arm-migrate extends VIRT_DRIVER=libvirt," \
            "not $VIRT_DRIVER"
    fi
}

# Prints the virtual environment that Nova is installed in: its own one with
# USE_VENV, else devstack's. Prints nothing for the system's Python.
function _arm_migrate_venv {
    if [[ "$USE_VENV" == "True" && -n "${PROJECT_VENV[nova]:-}" ]]; then
        echo "${PROJECT_VENV[nova]}"
    elif [[ "$GLOBAL_VENV" == "True" ]]; then
        echo "$DEVSTACK_VENV"
    fi
}

function check_arm_migrate_nova {
    local venv python said
    venv=$(_arm_migrate_venv)
    if [[ -n "$venv" ]]; then
        python=$venv/bin/python3
    else
        python=python$PYTHON3_VERSION
    fi
    said=$(PYTHONPATH=$NOVA_ARM_MIGRATE_DIR "$python" \
        "$NOVA_ARM_MIGRATE_DIR/devstack/nova_release.py") || \
        die $LINENO "${said:-$python cannot be run}"
    if [[ -n "$said" ]]; then
        warn $LINENO "$said"
    fi
}

function install_arm_migrate {
    check_arm_migrate_nova
    # Read by pip_install.
    local PIP_VIRTUAL_ENV
    PIP_VIRTUAL_ENV=$(_arm_migrate_venv)
    # Not setup_develop: pip would replace a Nova whose version does not
    # satisfy our requirements by one from PyPI. Nova has installed all others.
    pip_install --no-deps -e "$NOVA_ARM_MIGRATE_DIR"
    # Registers are read and tried on a scratch vCPU by nova-compute itself.
    if _arm_migrate_on_compute && getent group kvm >/dev/null; then
        sudo usermod -a -G kvm "$STACK_USER"
    fi
}

function configure_arm_migrate_filter {
    local enabled available
    enabled=$(iniget "$NOVA_CONF" filter_scheduler enabled_filters)
    enabled=${enabled:-$NOVA_FILTERS}
    if [[ ",$enabled," != *",$ARM_MIGRATE_FILTER,"* ]]; then
        iniset "$NOVA_CONF" filter_scheduler enabled_filters \
            "$enabled,$ARM_MIGRATE_FILTER"
    fi
    available=$(
        iniget_multiline "$NOVA_CONF" filter_scheduler available_filters)
    if [[ " $available " != *" $ARM_MIGRATE_FILTER_CLASS "* ]]; then
        # Naming one replaces Nova's default, which has to be named as well.
        # shellcheck disable=SC2086
        iniset_multiline "$NOVA_CONF" filter_scheduler available_filters \
            ${available:-$NOVA_ALL_FILTERS} $ARM_MIGRATE_FILTER_CLASS
    fi
}

function configure_arm_migrate {
    # stack.sh runs this in the background. It writes nova.conf as well, and
    # each of the two could lose what the other writes.
    if declare -F async_wait >/dev/null; then
        async_wait configure_neutron_nova
    fi
    # nova-cpu.conf is made from nova.conf when nova-compute starts.
    if _arm_migrate_on_compute; then
        iniset "$NOVA_CONF" DEFAULT compute_driver $ARM_MIGRATE_COMPUTE_DRIVER
    fi
    if _arm_migrate_on_scheduler; then
        configure_arm_migrate_filter
    fi
    local option
    for option in $NOVA_ARM_MIGRATE_OPTIONS; do
        if [[ "$option" != [a-z]*=* ]]; then
            die $LINENO "NOVA_ARM_MIGRATE_OPTIONS: $option is not name=value"
        fi
        iniset "$NOVA_CONF" arm_migrate "${option%%=*}" "${option#*=}"
    done
}

# Says into the log of stack.sh what this host can be judged by.
function report_arm_migrate {
    if _arm_migrate_on_compute; then
        # As the service will run: this shell is older than the user's
        # membership in the group kvm. Some sudoers only let the user be root.
        sudo -u root sudo -u "$STACK_USER" \
            "$NOVA_BIN_DIR/nova-arm-migrate" probe --degraded \
            --format table || \
            echo "nova-arm-migrate: this host has no profile (see above)"
    fi
}

function configure_arm_migrate_tempest {
    if is_service_enabled tempest; then
        iniset "$TEMPEST_CONFIG" compute-feature-enabled live_migration True
        iniset "$TEMPEST_CONFIG" compute-feature-enabled \
            live_migrate_back_and_forth True
    fi
}

function unconfigure_arm_migrate {
    if [[ ! -e "$NOVA_CONF" ]]; then
        return 0
    fi
    local driver enabled available
    driver=$(iniget "$NOVA_CONF" DEFAULT compute_driver)
    if [[ "$driver" == "$ARM_MIGRATE_COMPUTE_DRIVER" ]]; then
        iniset "$NOVA_CONF" DEFAULT compute_driver libvirt.LibvirtDriver
    fi
    enabled=,$(iniget "$NOVA_CONF" filter_scheduler enabled_filters),
    if [[ "$enabled" == *",$ARM_MIGRATE_FILTER,"* ]]; then
        enabled=${enabled/,$ARM_MIGRATE_FILTER,/,}
        enabled=${enabled#,}
        iniset "$NOVA_CONF" filter_scheduler enabled_filters "${enabled%,}"
    fi
    available=$(
        iniget_multiline "$NOVA_CONF" filter_scheduler available_filters)
    available=" $available "
    if [[ "$available" == *" $ARM_MIGRATE_FILTER_CLASS "* ]]; then
        # shellcheck disable=SC2086
        iniset_multiline "$NOVA_CONF" filter_scheduler available_filters \
            ${available/ $ARM_MIGRATE_FILTER_CLASS / }
    fi
    local option
    for option in $NOVA_ARM_MIGRATE_OPTIONS; do
        inidelete "$NOVA_CONF" arm_migrate "${option%%=*}"
    done
}

function cleanup_arm_migrate {
    unconfigure_arm_migrate
    # Read by pip_uninstall, which does not know of devstack's environment.
    local PIP_VIRTUAL_ENV
    PIP_VIRTUAL_ENV=$(_arm_migrate_venv)
    if [[ -z "$PIP_VIRTUAL_ENV" || -d "$PIP_VIRTUAL_ENV" ]]; then
        pip_uninstall nova-arm-migrate
    fi
}

if is_service_enabled nova && _arm_migrate_wanted; then
    case "$1 ${2:-}" in
        "stack pre-install")
            check_arm_migrate
            ;;
        "stack install")
            echo_summary "Installing nova-arm-migrate"
            install_arm_migrate
            ;;
        "stack post-config")
            echo_summary "Configuring nova-arm-migrate"
            configure_arm_migrate
            ;;
        "stack extra")
            report_arm_migrate
            ;;
        "stack test-config")
            configure_arm_migrate_tempest
            ;;
        "unstack "*)
            # Nothing of ours runs; the next stack.sh may come without us.
            unconfigure_arm_migrate
            ;;
        "clean "*)
            cleanup_arm_migrate
            ;;
    esac
fi

$_ARM_MIGRATE_XTRACE
