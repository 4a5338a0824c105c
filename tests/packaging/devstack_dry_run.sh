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

set -o errexit

STATE=$1
SERVICES=$2
shift 2
PLUGIN=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../devstack" && pwd)

echo "dry run: devstack's functions are stubs, nothing is installed"

# What the plugin reads:
# shellcheck disable=SC2034
{
    DEST=$STATE/dest
    NOVA_CONF=$STATE/nova.conf
    NOVA_BIN_DIR=$STATE/bin
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
function pip_uninstall {
    call pip_uninstall "$@"
}
function setup_develop {
    call setup_develop "$@"
}
function sudo {
    call sudo "$@"
}

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

mkdir -p "$NOVA_BIN_DIR"
cat >"$NOVA_BIN_DIR/nova-arm-migrate" <<SCRIPT
#!/bin/sh
echo nova-arm-migrate "\$@" >>"$STATE/calls"
exit ${PROBE_STATUS:-0}
SCRIPT
chmod +x "$NOVA_BIN_DIR/nova-arm-migrate"

# shellcheck source=devstack/settings
source "$PLUGIN/settings"
for stage in "$@"; do
    echo "stage: $stage"
    # Two words make two arguments.
    # shellcheck disable=SC2086
    set -- $stage
    # shellcheck source=devstack/plugin.sh
    source "$PLUGIN/plugin.sh" "$@"
done
