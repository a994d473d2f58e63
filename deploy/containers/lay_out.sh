#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# Puts the contents of a bundle, mounted at /bundle, into an image while it is built:
#
#     lay_out.sh packages NAME...             Debian packages, from the bundle alone
#     lay_out.sh users                        the two users and the folders that volumes are mounted on
#     lay_out.sh service | triton | orthanc   what the image of this name runs
set -eu
umask 022

BUNDLE=/bundle
HOME_DIR=/opt/hemorrhage-appliance

install_packages() {
    apt=$(mktemp -d)
    chmod 755 "$apt"
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    echo "deb [trusted=yes] file:$BUNDLE/debian ./" >"$apt/sources.list"
    from="-o Dir::Etc::SourceList=$apt/sources.list -o Dir::Etc::SourceParts=/dev/null -o Dir::State::Lists=$apt/lists"
    from="$from -o Dir::Cache=$apt/cache -o APT::Sandbox::User=root"
    export DEBIAN_FRONTEND=noninteractive
    # Packages start no service in an image.
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 755 /usr/sbin/policy-rc.d
    # shellcheck disable=SC2086 # words, on purpose
    apt-get update --quiet=2 $from
    # shellcheck disable=SC2086
    apt-get install --yes --quiet=2 --no-install-recommends -o Dpkg::Use-Pty=0 $from "$@" >/dev/null
    rm -rf "$apt" /usr/sbin/policy-rc.d /var/cache/apt/* /var/lib/apt/lists/* /var/log/apt /var/log/dpkg.log \
        /var/cache/debconf/*-old /usr/share/doc-base /usr/share/man/* /usr/share/locale/* /etc/orthanc
    # What is said about copyright stays.
    find /usr/share/doc -type f ! -name copyright -delete
}

make_users() {
    groupadd --gid 10001 hemorrhage
    useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hemorrhage
    groupadd --gid 10002 hemorrhage-orthanc
    useradd --uid 10002 --gid 10002 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin hemorrhage-orthanc
    install -d -m 755 "$HOME_DIR" /var/lib/hemorrhage-appliance /etc/hemorrhage-appliance
    # A new volume takes the owner of the folder that it is mounted on first: NVIDIA's Triton writes into `engines`.
    install -d -m 700 -o 10001 -g 10001 /var/lib/hemorrhage-appliance/service /var/lib/hemorrhage-appliance/engines
    install -d -m 700 -o 10002 -g 10002 /var/lib/hemorrhage-appliance/orthanc
    # The service's user writes Orthanc's configuration, and Orthanc's group reads it.
    install -d -m 750 -o 10001 -g 10002 /run/hemorrhage-orthanc
}

make_environment() {
    /usr/bin/python3 -m venv --without-pip "$HOME_DIR/$1"
    for pip in "$BUNDLE"/wheels/pip-*.whl; do
        "$HOME_DIR/$1/bin/python" -B "$pip/pip" --isolated install --quiet --disable-pip-version-check --no-input --no-deps \
            --require-hashes --only-binary=:all: --no-index --find-links "$BUNDLE/wheels" --no-cache-dir --no-compile \
            -r "$BUNDLE/environments/$1.lock"
    done
    find "$HOME_DIR/$1" -type d \( -name __pycache__ -o -name tests \) -prune -exec rm -rf {} +
}

copy() {
    for part in "$@"; do
        mkdir -p "$HOME_DIR/$(dirname "$part")"
        cp -R "$BUNDLE/$part" "$HOME_DIR/$part"
    done
    chmod -R u+rwX,go+rX,go-w "$HOME_DIR"
}

case $1 in
packages)
    shift
    install_packages "$@"
    ;;
users) make_users ;;
service)
    make_environment service
    copy appliance deploy orthanc_plugin model_repository environments LICENSES LICENSE viewer sbom
    for packages in "$HOME_DIR"/service/lib/python3*/site-packages; do
        echo "$HOME_DIR" >"$packages/hemorrhage_appliance.pth"
    done
    "$HOME_DIR/service/bin/python" -m compileall -q "$HOME_DIR/appliance" "$HOME_DIR/deploy" \
        "$HOME_DIR"/service/lib/python3*/site-packages >/dev/null || true # a package may hold a file of another Python
    install -m 755 "$BUNDLE/deploy/containers/appliance.sh" /usr/local/bin/appliance
    ;;
triton)
    make_environment triton
    # What serves models with other backends, and the examples of PyTriton, are not used here.
    rm -rf "$HOME_DIR"/triton/lib/python3*/site-packages/pytriton/examples
    ;;
orthanc)
    copy orthanc_plugin deploy/containers/unit.py LICENSES LICENSE
    ;;
*)
    echo "lay_out.sh: $1 is no step" >&2
    exit 2
    ;;
esac
