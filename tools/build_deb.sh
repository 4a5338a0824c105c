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

# `make deb`: the Debian package of HEAD, in the directory that is named or in
# dist/. It is built in a clone in a temporary directory, with Debian's own
# Python and pbr.

set -euo pipefail
cd "$(dirname "$0")/.."
# Debian's Python, not one that lies before it in PATH.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV

die() {
    echo "build_deb.sh: $*" >&2
    exit 2
}

source=$PWD
output=$(realpath --canonicalize-missing "${1:-dist}")
for program in dpkg-buildpackage:dpkg-dev git:git; do
    command -v "${program%:*}" >/dev/null ||
        die "${program%:*} is not installed: apt install ${program#*:}"
done
# It says what is missing by the names of packages.
unmet=$(dpkg-checkbuilddeps debian/control 2>&1) || die "${unmet#*error: }"
if [[ -n $(git status --porcelain) ]]; then
    echo 'build_deb.sh: what is not committed is not in the package' >&2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$source" "$work/nova-arm-migrate"
cd "$work/nova-arm-migrate"

version=$(python3 -c '
from pbr import packaging
print(packaging.get_version("nova-arm-migrate"))' 2>"$work/pbr.log") ||
    die "no version from pbr: $(tail -n 1 "$work/pbr.log")"
# Debian's "~" sorts before the release, as pbr's dev and rc do.
debian=$(sed 's/\.dev/~dev/; s/\.0\(a\|b\|rc\)/~\1/' <<<"$version")
cat >debian/changelog <<EOF
nova-arm-migrate ($debian) unstable; urgency=medium

  * Commit $(git rev-parse HEAD).

 -- nova-arm-migrate contributors <openstack-discuss@lists.openstack.org>  $(git log -1 --format=%cD)
EOF

dpkg-buildpackage --build=binary --unsigned-source --unsigned-changes \
    >"$work/build.log" 2>&1 || {
    tail -n 30 "$work/build.log" >&2
    die 'dpkg-buildpackage failed'
}
if command -v lintian >/dev/null; then
    lintian --allow-root --info --fail-on error,warning "$work"/*.changes
else
    echo 'build_deb.sh: lintian is not installed: it did not check' >&2
fi
mkdir -p "$output"
mv "$work"/*.deb "$output/"
echo "$output/python3-nova-arm-migrate_${debian}_all.deb"
