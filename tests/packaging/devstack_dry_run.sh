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

# A dry run of the devstack plugin: devstack's functions, stubbed.
#
#   devstack_dry_run.sh STATE SERVICES STAGE...
#
# STATE is a directory. nova.conf and tempest.conf in it are lists of
# "section<TAB>option<TAB>value"; every other call is written to STATE/calls.
# SERVICES is separated by commas. A STAGE is "stack install", "unstack", ...
# Variables that devstack would have read from local.conf come by environment.
# PYTHON is an interpreter that has Nova; with NOVA_VERSION, that version of it.
# Without it, Nova's release counts as supported.

set -o errexit

STATE=$1
SERVICES=$2
shift 2
PROJECT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

echo "dry run: devstack's functions are stubs, nothing is installed"

# What the plugin reads:
# shellcheck disable=SC2034
{
    DEST=$STATE/dest
    NOVA_CONF=$STATE/nova.conf
    DEVSTACK_VENV=$STATE/venv
    GLOBAL_VENV=${GLOBAL_VENV:-True}
    USE_VENV=${USE_VENV:-False}
    PYTHON3_VERSION=3
    declare -A PROJECT_VENV
    if [[ "$USE_VENV" == True ]]; then
        PROJECT_VENV[nova]=$DEST/nova.venv
        NOVA_BIN_DIR=${PROJECT_VENV[nova]}/bin
    elif [[ "$GLOBAL_VENV" == True ]]; then
        NOVA_BIN_DIR=$DEVSTACK_VENV/bin
    else
        NOVA_BIN_DIR=$STATE/bin
    fi
    NOVA_FILTERS=${NOVA_FILTERS:-ComputeFilter,ImagePropertiesFilter}
    STACK_USER=stack
    TEMPEST_CONFIG=$STATE/tempest.conf
    VIRT_DRIVER=${VIRT_DRIVER:-libvirt}
}

function call {
    echo "$*" >>"$STATE/calls"
}

function define_plugin {
    :
}
function die {
    echo "die: ${*:2}" >&2
    exit 1
}
function echo_summary {
    echo "$@"
}
function getent {
    [[ "$*" == "group kvm" ]]
}
function pip_install {
    call "pip_install in ${PIP_VIRTUAL_ENV:-the system}:" "$@"
}
function pip_uninstall {
    call "pip_uninstall in ${PIP_VIRTUAL_ENV:-the system}:" "$@"
}
function sudo {
    call sudo "$@"
    if [[ "$*" == *" $NOVA_BIN_DIR/"* ]]; then
        return "${PROBE_STATUS:-0}"
    fi
}
function warn {
    echo "warn: ${*:2}" >&2
}

# configure_neutron_nova, which writes nova.conf in the background: it has read
# the file when post-config begins. What is written until it ends gets lost.
function begin_configure_neutron_nova {
    cp "$NOVA_CONF" "$STATE/nova.conf.neutron"
    printf 'neutron\tregion_name\tRegionOne\n' >>"$STATE/nova.conf.neutron"
}
function end_configure_neutron_nova {
    if [[ -e "$STATE/nova.conf.neutron" ]]; then
        mv "$STATE/nova.conf.neutron" "$NOVA_CONF"
    fi
}
if [[ "${ASYNC:-True}" == True ]]; then
    function async_wait {
        [[ "$*" == configure_neutron_nova ]]
        end_configure_neutron_nova
    }
fi

function is_service_enabled {
    if [[ "$1" == nova ]]; then
        [[ "$SERVICES" == *n-* ]]
    else
        [[ ",$SERVICES," == *",$1,"* ]]
    fi
}

function iniget_multiline {
    local values
    values=$(awk -F '\t' -v section="$2" -v option="$3" \
        '$1 == section && $2 == option { print $3 }' "$1")
    # One line, as devstack prints it.
    # shellcheck disable=SC2086
    echo $values
}

function iniget {
    iniget_multiline "$@"
}

function inidelete {
    awk -F '\t' -v section="$2" -v option="$3" \
        '$1 != section || $2 != option' "$1" >"$1.new"
    mv "$1.new" "$1"
}

function iniset_multiline {
    inidelete "$@"
    local value
    for value in "${@:4}"; do
        printf '%s\t%s\t%s\n' "$2" "$3" "$value" >>"$1"
    done
}

function iniset {
    iniset_multiline "$1" "$2" "$3" "$4"
}

mkdir -p "$DEST" "$NOVA_BIN_DIR" "$STATE/bin"
ln -sfn "$PROJECT" "$DEST/nova-arm-migrate"
if [[ -n "${PYTHON:-}" ]]; then
    mkdir -p "$STATE/nova"
    # shellcheck disable=SC2016
    printf '#!/bin/sh\nPYTHONPATH=$PYTHONPATH:%s exec %s "$@"\n' \
        "$STATE/nova" "$PYTHON" >"$NOVA_BIN_DIR/python3"
else
    printf '#!/bin/sh\nexit 0\n' >"$NOVA_BIN_DIR/python3"
fi
chmod +x "$NOVA_BIN_DIR/python3"
if [[ -n "${VENV_REMOVED:-}" ]]; then
    rm -r "$DEVSTACK_VENV"
fi
PATH=$STATE/bin:$PATH
if [[ -n "${NOVA_VERSION:-}" ]]; then
    mkdir -p "$STATE/nova/nova-$NOVA_VERSION.dist-info"
    printf 'Metadata-Version: 2.1\nName: nova\nVersion: %s\n' \
        "$NOVA_VERSION" >"$STATE/nova/nova-$NOVA_VERSION.dist-info/METADATA"
fi

# shellcheck source=devstack/settings
source "$PROJECT/devstack/settings"
for stage in "$@"; do
    echo "stage: $stage"
    if [[ "$stage" == "stack post-config" ]] && \
        is_service_enabled nova && is_service_enabled q-svc; then
        begin_configure_neutron_nova
    fi
    # Two words make two arguments.
    # shellcheck disable=SC2086
    set -- $stage
    # shellcheck source=devstack/plugin.sh
    source "$PROJECT/devstack/plugin.sh" "$@"
    end_configure_neutron_nova
done
