#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the appliance needs of Debian, where it is missing: Orthanc with its Python plugin, DCMTK (storescu),
# dicom3tools (dciodvfy) and Python's venv. With everything there it does nothing and needs neither root nor network.
#
# Debian's own Orthanc server (ports 4242 and 8042) is left as it is found: a running one is not restarted, and one that
# comes with this installation is neither started nor enabled. Ours runs beside it, on ports and storage of its own.
set -eu

missing=""
need() { # need PACKAGE TEST...: note the package unless the test succeeds
    package=$1
    shift
    "$@" >/dev/null 2>&1 || missing="$missing $package"
}

python=$(command -v python3.11 || command -v python3 || true)
need orthanc test -x /usr/sbin/Orthanc
need orthanc-python test -e /usr/share/orthanc/plugins/libOrthancPython.so
need dcmtk sh -c 'command -v storescu && command -v dcmdump'
need dicom3tools sh -c 'command -v dciodvfy'
need python3-venv "${python:-python3}" -c 'import ensurepip, venv'
[ -n "$missing" ] || exit 0

echo "installing from Debian:$missing"
as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "This needs root, and there is no sudo. Run this as root, then try again:" >&2
        echo "    apt-get install$missing" >&2
        exit 1
    fi
    as_root=sudo
fi
if ! command -v apt-get >/dev/null; then
    echo "There is no apt-get here. Install by your system's own means:$missing" >&2
    exit 1
fi

$as_root sh -eu -s -- $missing <<'ROOT'
# invoke-rc.d asks policy-rc.d whether a package may start, stop or restart a service: 101 forbids it.
policy=/usr/sbin/policy-rc.d
kept=""
had_orthanc=yes
[ -e /etc/init.d/orthanc ] || had_orthanc=no

restore() {
    if [ -n "$kept" ]; then
        mv -f "$kept" "$policy"
    else
        rm -f "$policy"
    fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    kept=$(mktemp -u "$policy.kept-XXXXXX")
    mv "$policy" "$kept"
fi
trap restore EXIT
trap 'exit 130' INT TERM HUP
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive
install() {
    apt-get install --yes --quiet=2 --no-install-recommends -o DPkg::Lock::Timeout=300 "$@" </dev/null
}
# The package lists may be missing or old; they are fetched only then.
install "$@" 2>/dev/null || { apt-get update --quiet=2 -o DPkg::Lock::Timeout=300 </dev/null && install "$@"; }

if [ "$had_orthanc" = no ] && [ -e /etc/init.d/orthanc ]; then
    # Ours is started by the appliance; Debian's would listen on 4242 and 8042 from the next boot on.
    if command -v systemctl >/dev/null; then
        systemctl --quiet disable orthanc.service
    else
        update-rc.d orthanc disable
    fi
fi
ROOT
