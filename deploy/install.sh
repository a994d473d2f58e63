#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# Installs the appliance on a Debian 12, upgrades it, and takes it away (docs/install.md):
#
#     sudo deploy/install.sh [install] [--offline BUNDLE] [--answers FILE]
#     sudo deploy/install.sh upgrade   [--offline BUNDLE] [--patience-s 60] [--ledger-has-backup]
#     sudo deploy/install.sh uninstall [--purge [--yes]]
#
# From a checkout, what is needed comes from Debian and PyPI, the latter by the hashes of environments/*.lock. With a
# bundle (`make bundle`) nothing is fetched. This script brings Debian's packages and a version's folder in place;
# what follows is in deploy/install/, in Python.
set -eu
umask 022

HOME_DIR=/opt/hemorrhage-appliance
PARTS="appliance deploy orthanc_plugin model_repository environments LICENSES docs LICENSE README.md"
ROOM_MB=4000
POLICY=/usr/sbin/policy-rc.d
KEPT_POLICY=$POLICY.kept-by-hemorrhage
POLICY_MARK="# written by the installation of the hemorrhage appliance, which takes it away again"

die() {
    echo "install.sh: $*" >&2
    exit 1
}

check_machine() {
    [ "$(id -u)" -eq 0 ] || die "this needs root: sudo $0"
    [ "$(dpkg --print-architecture 2>/dev/null)" = amd64 ] || die "an amd64 machine with Debian 12 is needed"
    . /etc/os-release
    [ "${ID:-} ${VERSION_ID:-}" = "debian 12" ] ||
        die "this is ${PRETTY_NAME:-an unknown system}, and Debian 12 is needed; containers run elsewhere"
    [ -d /run/systemd/system ] || die "systemd does not run here"
    grep -qw avx2 /proc/cpuinfo || echo "this processor has no AVX2: the network will be slow" >&2
}

check_room() {
    mkdir -p "$HOME_DIR"
    chmod 755 "$HOME_DIR"
    free_mb=$(df --output=avail -m "$HOME_DIR" | tail -n 1 | tr -d ' ')
    [ "$free_mb" -ge "$ROOM_MB" ] || die "$free_mb MB are free at $HOME_DIR, and $ROOM_MB are needed"
}

# One installation at a time; the lock ends with this process.
lock() {
    mkdir -p /run/lock
    exec 9>/run/lock/hemorrhage-appliance-install.lock
    flock -n 9 || die "another installation, upgrade or removal is going on"
}

# However this ends, nothing of it is left. Only the one that has the lock may call this.
clean_up() {
    set +e # one step that fails, be it a line to a terminal that is gone, keeps none of the others from being done
    [ -z "$unpacked" ] || rm -rf "$unpacked"
    let_services_start
}

# unpack BUNDLE: sets $source to the folder with what was in it, every file of it as its checksum says.
unpack() {
    [ -f "$1" ] || die "$1 is not there"
    if [ -f "$1.sha256" ]; then
        wanted=$(cut -d' ' -f1 "$1.sha256")
        found=$(sha256sum "$1" | cut -d' ' -f1)
        [ "$wanted" = "$found" ] || die "$1 is damaged: its sha256 is $found, and $1.sha256 says $wanted"
    fi
    unpacked=$(mktemp -d "$HOME_DIR/.unpacked.XXXXXX")
    tar -xf "$1" -C "$unpacked" --no-same-owner || die "$1 is no bundle, or damaged"
    [ -f "$unpacked/SHA256SUMS" ] || die "$1 is no bundle of the appliance: SHA256SUMS is not in it"
    (cd "$unpacked" && sha256sum --check --strict --quiet SHA256SUMS) >&2 || die "$1 is damaged: see above"
    source=$unpacked
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null | cut -c1-2)" = ii ]
}

# While this file is there, packages that are installed start no service. The site's own is kept beside it, and whether
# Orthanc is new here stands in it, so that a run that was cut short is put right by the next.
let_no_service_start() {
    if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then
        [ ! -e "$KEPT_POLICY" ] && [ ! -L "$KEPT_POLICY" ] ||
            die "$POLICY and $KEPT_POLICY are both there: keep the one that is yours as $POLICY, and remove the other"
        mv "$POLICY" "$KEPT_POLICY"
    fi
    printf '#!/bin/sh\n%s\n# Orthanc was here before: %s\nexit 101\n' "$POLICY_MARK" "$1" >"$POLICY.new"
    chmod 755 "$POLICY.new"
    mv "$POLICY.new" "$POLICY"
}

let_services_start() {
    if grep -qsxF "$POLICY_MARK" "$POLICY"; then
        # Debian's own Orthanc (4242, 8042), where it comes with this installation, is not left enabled either; one that
        # was there before is left alone. Ours is another instance of the same program.
        if grep -qxF "# Orthanc was here before: no" "$POLICY" && is_installed orthanc; then
            systemctl --quiet disable orthanc.service || echo "orthanc.service could not be disabled" >&2
        fi
        rm -f "$POLICY"
    fi
    rm -f "$POLICY.new"
    if [ ! -e "$POLICY" ] && [ ! -L "$POLICY" ] && { [ -e "$KEPT_POLICY" ] || [ -L "$KEPT_POLICY" ]; }; then
        mv "$KEPT_POLICY" "$POLICY"
    fi
}

install_debian_packages() {
    wanted="orthanc orthanc-python orthanc-dicomweb python3 util-linux hostname"
    [ -n "$bundle" ] || wanted="$wanted python3-venv"
    missing=""
    for package in $wanted; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    echo "installing from Debian:$missing"
    had_orthanc=no
    is_installed orthanc && had_orthanc=yes
    let_no_service_start "$had_orthanc"
    done=0
    # shellcheck disable=SC2086 # words, on purpose
    apt_install $missing || done=$?
    let_services_start
    [ "$done" -eq 0 ] || die "apt-get could not install$missing$offline_hint"
}

apt_install() {
    export DEBIAN_FRONTEND=noninteractive
    set -- --yes --quiet=2 --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@"
    if [ -z "$bundle" ]; then
        apt-get install "$@" </dev/null >/dev/null 2>&1 || {
            apt-get update --quiet=2 </dev/null && apt-get install "$@" </dev/null >/dev/null
        }
        return
    fi
    # Only what lies in the bundle: no other source is asked.
    offline_hint=" from the bundle alone; is this Debian newer than the bundle? Install them from your own mirror first"
    apt=$source/apt
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [trusted=yes] file:$source/debian ./" >"$apt/sources.list"
    chmod -R a+rX "$source"
    from="-o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$apt/lists"
    from="$from -o Dir::Cache=$apt/cache -o APT::Sandbox::User=root"
    # shellcheck disable=SC2086 # words, on purpose
    apt-get update --quiet=2 $from </dev/null && apt-get install $from "$@" </dev/null >/dev/null
}

# The version of what is to be installed: a bundle says it; a checkout has that of the package and its commit.
read_version() {
    if [ -f "$source/VERSION" ]; then
        cat "$source/VERSION"
        return
    fi
    number=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' "$source/appliance/__init__.py")
    commit=$(git -C "$source" -c safe.directory="$source" rev-parse --short=10 HEAD 2>/dev/null || true)
    echo "$number${commit:++$commit}"
}

# make_environment FOLDER LOCK: a Python environment with what a lock names, made anew when the lock has changed.
make_environment() {
    lock_file=$source/environments/$2.lock
    stamp=$1/.installed-$(sha256sum "$lock_file" | cut -c1-12)
    [ -f "$stamp" ] && return 0
    rm -rf "$1"
    echo "installing $(grep -c '==' "$lock_file") Python packages into $1"
    options="--quiet --disable-pip-version-check --no-input --no-deps --require-hashes --only-binary=:all:"
    if [ -n "$bundle" ]; then
        /usr/bin/python3 -m venv --without-pip "$1"
        set -- "$1" "$source"/wheels/pip-*.whl
        # shellcheck disable=SC2086
        "$1/bin/python" "$2/pip" --isolated install $options --no-index --find-links "$source/wheels" --no-cache-dir \
            -r "$lock_file"
    else
        /usr/bin/python3 -m venv "$1"
        # shellcheck disable=SC2086
        "$1/bin/python" -m pip install $options -r "$lock_file"
    fi
    touch "$stamp"
}

# The folder of the version, beside all others. Nothing that runs reads it yet, unless it is the version that runs.
lay_out() {
    folder=$HOME_DIR/$version
    mkdir -p "$folder"
    for part in $PARTS; do
        [ -e "$source/$part" ] || die "$part is not in $source"
        rm -rf "$folder/.$part.new"
        cp -R "$source/$part" "$folder/.$part.new"
        rm -rf "${folder:?}/$part"
        mv "$folder/.$part.new" "$folder/$part"
    done
    # The viewer is optional: a bundle brings it, a checkout has it after `make viewer`.
    for viewer in "$source/viewer" "$source/var/viewer"; do
        [ ! -f "$viewer/VERSION" ] || { rm -rf "$folder/viewer" && cp -R "$viewer" "$folder/viewer" && break; }
    done
    # What is known against the packages: a bundle brings it, a checkout has it after `make audit`.
    rm -rf "$folder/sbom"
    for sbom in "$source/sbom" "$source/var/sbom"; do
        [ ! -f "$sbom/audit.json" ] || { cp -R "$sbom" "$folder/sbom" && break; }
    done
    find "$folder" -name __pycache__ -type d -prune -exec rm -rf {} +
    make_environment "$folder/service" service
    make_environment "$folder/triton" triton
    # Where the service's Python finds `appliance` and `deploy`.
    for packages in "$folder"/service/lib/python3*/site-packages; do
        echo "$folder" >"$packages/hemorrhage_appliance.pth"
    done
    "$folder/service/bin/python" -m compileall -q "$folder/appliance" "$folder/deploy"
    chown -R root:root "$folder"
    chmod -R u+rwX,go+rX,go-w "$folder"
}

in_python() {
    python=$1
    shift
    PYTHONDONTWRITEBYTECODE=1 PYTHONNOUSERSITE=1 PYTHONSAFEPATH=1 "$python" -m deploy.install "$@"
}

main() {
    command=install
    here=$(cd "$(dirname "$0")/.." && pwd)
    case ${1:-} in
    install | upgrade | uninstall)
        command=$1
        shift
        ;;
    esac
    bundle="" offline_hint="" answers="" passed=""
    while [ $# -gt 0 ]; do
        case $command:$1 in
        install:--offline | upgrade:--offline)
            [ $# -ge 2 ] || die "--offline takes the bundle's file"
            bundle=$(readlink -f "$2") || die "$2 is not there"
            shift
            ;;
        install:--answers)
            [ $# -ge 2 ] || die "--answers takes a TOML file"
            answers=$(readlink -f "$2") || die "$2 is not there"
            shift
            ;;
        upgrade:--patience-s)
            [ $# -ge 2 ] || die "--patience-s takes seconds"
            passed="$passed --patience-s $2"
            shift
            ;;
        upgrade:--ledger-has-backup | uninstall:--purge | uninstall:--yes) passed="$passed $1" ;;
        *)
            sed -n 's/^#  \{4,\}\(sudo\)/\1/p' "$0" >&2
            die "$1 is no option of $command"
            ;;
        esac
        shift
    done
    cd / # whatever happens to the folder that this was called in
    check_machine
    lock
    unpacked=""
    trap clean_up EXIT
    trap 'exit 130' INT TERM HUP
    let_services_start # a run before this one may have been cut short
    if [ "$command" = uninstall ]; then
        [ -x "$HOME_DIR/current/service/bin/python" ] || die "nothing is installed in $HOME_DIR"
        # shellcheck disable=SC2086 # words, on purpose
        in_python "$HOME_DIR/current/service/bin/python" uninstall $passed
        rm -rf "$HOME_DIR"
        echo "removed $HOME_DIR; Debian's packages stay: apt-get remove orthanc orthanc-python"
        exit 0
    fi
    check_room
    if [ -n "$bundle" ]; then
        unpack "$bundle"
    else
        source=$here
        [ -f "$source/environments/service.lock" ] || die "this is no checkout: name a bundle with --offline"
        case $source/ in "$HOME_DIR"/*) die "this is the installed version: name a bundle with --offline" ;; esac
    fi
    version=$(read_version)
    case $version in
    "" | .* | *[!A-Za-z0-9.+_-]* | current) die "the version is not one: '$version'" ;;
    esac
    if [ "$command" = install ] && [ -L "$HOME_DIR/current" ]; then
        running=$(readlink "$HOME_DIR/current")
        [ "$running" = "$version" ] || die "$running is installed; use \`upgrade\` to put $version in its place"
    fi
    if [ "$command" = upgrade ]; then
        [ -L "$HOME_DIR/current" ] || die "nothing is installed; leave \`upgrade\` out"
        if [ "$(readlink "$HOME_DIR/current")" = "$version" ]; then
            echo "$version runs already"
            exit 0
        fi
    fi
    echo "hemorrhage appliance $version"
    install_debian_packages
    lay_out
    if [ "$command" = install ]; then
        in_python "$HOME_DIR/$version/service/bin/python" install "$version" ${answers:+--answers "$answers"}
    else
        # shellcheck disable=SC2086 # words, on purpose
        in_python "$HOME_DIR/$version/service/bin/python" upgrade "$version" $passed
    fi
}

main "$@"
