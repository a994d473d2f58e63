#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs what the appliance needs of Debian, where it is missing: Orthanc with its Python plugin, DCMTK (storescu),
# dicom3tools (dciodvfy), Supervisor (which restarts what dies under `make up`) and Python's venv; with the argument
# `tests` also PostgreSQL, which the ledger is tested on, Prometheus and Alertmanager, which watch an appliance in a test,
# Chromium, in which the pages are looked at, kubectl, which renders the manifests, systemd, which reads the units that
# are installed, and debootstrap and systemd-container, which boot a fresh Debian to install on; with the argument
# `viewer` or `tests` Orthanc's DICOMweb plugin, which the viewer reads images by. With everything there it does nothing
# and needs neither root nor network.
#
# Debian's own servers (Orthanc on 4242 and 8042, PostgreSQL on 5432, Prometheus on 9090, Alertmanager on 9093) are left
# as they are found: a running one is not restarted, and one that comes with this installation is neither started nor
# enabled. Ours run beside them, on ports and storage of their own.
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
need supervisor sh -c 'command -v supervisord'
need python3-venv "${python:-python3}" -c 'import ensurepip, venv'
if [ "${1:-}" = tests ] || [ "${1:-}" = viewer ]; then
    need orthanc-dicomweb test -e /usr/share/orthanc/plugins/libOrthancDicomWeb.so
fi
if [ "${1:-}" = tests ]; then
    need postgresql sh -c 'command -v initdb || ls /usr/lib/postgresql/*/bin/initdb'
    need prometheus sh -c 'command -v promtool'
    need kubernetes-client sh -c 'command -v kubectl'
    need systemd sh -c 'command -v systemd-analyze'
    need debootstrap sh -c 'command -v debootstrap || test -x /usr/sbin/debootstrap'
    need systemd-container sh -c 'command -v systemd-nspawn'
    need chromium sh -c 'command -v chromium'
    need prometheus-alertmanager sh -c 'command -v prometheus-alertmanager'
fi
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
new=""
for server in orthanc postgresql prometheus prometheus-alertmanager supervisor; do
    [ -e "/etc/init.d/$server" ] || new="$new $server"
done

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

# Ours are started by the appliance and its tests; Debian's would listen from the next boot on.
for server in $new; do
    [ -e "/etc/init.d/$server" ] || continue
    if command -v systemctl >/dev/null; then
        systemctl --quiet disable "$server.service"
    else
        update-rc.d "$server" disable
    fi
done
ROOT
