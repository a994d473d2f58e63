#!/bin/sh
# SPDX-FileCopyrightText: 2026 The hemorrhage appliance authors
# SPDX-License-Identifier: Apache-2.0
#
# Replaces the version that runs in containers by a new one, and goes back if the new one does not get well. In the
# folder of the Compose files, as root:
#
#     sh upgrade.sh [--patience-s SECONDS] [--ledger-has-backup] [--engine podman|docker] FOLDER
#     sh upgrade.sh [--engine podman|docker] --back
#
# FOLDER holds the new version's images, as `make images` leaves them. The images are loaded beside those that run, which
# keep the tag `previous`. Orthanc goes on taking studies while the ledger is copied. COMPOSE_FILE, if it is set, says
# which Compose files are used. --back returns to the version before: after an upgrade that a power cut ended, or one
# that turns out bad later. What is said is also written to upgrade.log.
set -eu
umask 022

PATIENCE_S=60
HAS_BACKUP=no
ENGINE=podman
command -v podman-compose >/dev/null 2>&1 || ENGINE=docker
FILES="compose.yaml compose.nvidia.yaml hemorrhage-containers.service"
HOME_DIR=/opt/hemorrhage-appliance

# A terminal that has gone away stops nothing: what cannot be said is still in the log.
say() {
    [ ! -f compose.yaml ] || echo "$(date +%FT%T) $*" >>upgrade.log || :
    echo "upgrade.sh: $*" 2>/dev/null || :
}
warn() { say "$*" >&2; }
die() {
    warn "$*"
    exit 1
}
usage() {
    die "usage: sh upgrade.sh [--patience-s SECONDS] [--ledger-has-backup] [--engine podman|docker] FOLDER, or --back"
}

NEW=
BACK=no
while [ $# -gt 0 ]; do
    case $1 in
    --patience-s)
        [ $# -gt 1 ] || usage
        PATIENCE_S=$2
        shift
        case $PATIENCE_S in '' | *[!0-9]*) die "--patience-s: whole seconds are wanted, not '$PATIENCE_S'" ;; esac
        ;;
    --ledger-has-backup) HAS_BACKUP=yes ;;
    --back) BACK=yes ;;
    --engine)
        [ $# -gt 1 ] || usage
        ENGINE=$2
        shift
        case $ENGINE in podman | docker) ;; *) die "--engine: podman or docker is wanted, not '$ENGINE'" ;; esac
        ;;
    -*) usage ;;
    *)
        [ -z "$NEW" ] || usage
        NEW=$1
        ;;
    esac
    shift
done
if [ "$BACK" = yes ]; then
    [ -z "$NEW" ] || usage
else
    [ -n "$NEW" ] || usage
    [ -f "$NEW/SHA256SUMS" ] || die "$NEW: there is no SHA256SUMS; name the folder that make images has made"
fi
[ -f compose.yaml ] && [ -f appliance.toml ] || die "$PWD: no compose.yaml and appliance.toml; change to their folder"
[ ! -f site.yaml ] || die "rename site.yaml to compose.override.yaml, which is read at boot too"

# Nothing is waited for without an end: a program that hangs must not keep the version before from coming back.
LIMIT_S=1800
limited() { timeout --kill-after=5 "$LIMIT_S" "$@"; }
compose() {
    if [ "$ENGINE" = podman ]; then limited podman-compose "$@" 2>&1; else limited docker compose "$@" 2>&1; fi
}

image_names() {
    cat "$1"/compose.yaml "$1"/compose.nvidia.yaml 2>/dev/null | sed -n 's/^ *image: *//p' | sort -u
}

image_id() { limited "$ENGINE" image inspect --format '{{.Id}}' "$1" 2>/dev/null; }

# The ledger's copy is made and put back by the new version's own image, which was not tried before either: if it cannot
# even copy, nothing has been changed.
in_new_image() {
    limited "$ENGINE" run --rm --network none --read-only --tmpfs /tmp --user 10001:10001 --cap-drop ALL \
        --volume hemorrhage_state:/var/lib/hemorrhage-appliance/service \
        --volume "$PWD/appliance.toml:/etc/hemorrhage-appliance/appliance.toml:ro" \
        --volume "$PWD/secrets:/run/secrets:ro" --volume "$PWD/backups:/backups" \
        --entrypoint "$HOME_DIR/service/bin/python" "$NEW_SERVICE" -m deploy.containers.ledger "$@"
}

# Says why the appliance is not well by the time $1, s since 1970; nothing if it is. No answer is a fault too.
find_fault() {
    LIMIT_S=$(seconds_until "$1")
    ready=$(compose exec -T service /usr/bin/python3 -I "$HOME_DIR/deploy/containers/unit.py" \
        --probe http://127.0.0.1:8044/health/ready) || {
        echo "the service is not ready: $(echo "$ready" | tail -n 1)"
        return
    }
    LIMIT_S=$(seconds_until "$1")
    report=$(compose exec -T service appliance doctor) || echo "appliance doctor finds a fault: $report"
}

seconds_until() {
    left=$(($1 - $(date +%s)))
    [ "$left" -gt 0 ] && echo "$left" || echo 1
}

await_well() {
    end=$(($(date +%s) + $1))
    fault="nothing answered within $1 s"
    while [ "$(date +%s)" -lt "$end" ]; do
        fault=$(find_fault "$end")
        [ -n "$fault" ] || return 0
        sleep 1
    done
    return 1
}

STOPPED=no
ENDED=1
# Holds the process of the upgrade that has begun and not ended. It comes and goes with the folder `previous`, which is
# the version to go back to until then, and no upgrade may replace it.
MARKER=previous/upgrading
refuse_beside_another() {
    other=$(cat "$MARKER" 2>/dev/null) || return 0
    case $(tr '\0' ' ' 2>/dev/null <"/proc/$other/cmdline") in
    *upgrade.sh*) die "an upgrade runs as process $other; kill $other makes it go back" ;;
    esac
}

# Whatever fails on the way back, the rest of it is still tried.
go_back() {
    set +e
    trap '' INT TERM HUP PIPE
    trap - EXIT
    while read -r name id; do
        limited "$ENGINE" tag "$id" "$name" || {
            warn "the image $id of $name is gone: load it again, and then call this with --back"
            exit 1
        }
    done <previous/images
    [ "$STOPPED" = yes ] || {
        rm -f "$MARKER"
        die "nothing has been changed"
    }
    warn "going back to the version before"
    [ "$HAS_BACKUP" = no ] || warn "if it does not get well, restore the ledger's backup: the new version may have migrated it"
    compose down >/dev/null || true
    for file in $FILES; do
        [ ! -f "previous/$file" ] || cp -p "previous/$file" "$file"
    done
    if [ -n "$COPY" ]; then
        # Nobody may have the ledger open that is put back, now or after the next restart.
        running=$(limited "$ENGINE" ps --all --quiet --filter volume=hemorrhage_state) ||
            running="$ENGINE does not say which run"
        [ -z "$running" ] || warn "not all containers are gone: $running"
        if [ -z "$running" ] && done=$(in_new_image take-back "/backups/$COPY" "$REVISION"); then
            [ "$done" = kept ] || warn "the ledger is again as it was before (backups/$COPY)"
        else
            warn "the ledger could not be put back: put right what this says, and put backups/$COPY in the place of"
            warn "ledger.sqlite in the volume hemorrhage_state, before the service starts (docs/containers.md)"
            exit 1
        fi
    fi
    compose up -d >/dev/null || true
    rm -f "$MARKER"
    if await_well 300; then
        warn "the new version was taken back; the one before runs again, and no study is lost"
    else
        ENDED=1
        warn "the version before is back and not well either: $fault"
    fi
    exit "$ENDED"
}

COPY=
REVISION=
if [ "$BACK" = yes ]; then
    refuse_beside_another
    [ -s previous/images ] || die "there is no version before: previous/images names none"
    [ ! -s previous/ledger ] || read -r COPY REVISION <previous/ledger
    NEW_SERVICE=$(image_id "$(image_names . | grep '/hemorrhage-service:')") || NEW_SERVICE=
    STOPPED=yes
    ENDED=0
    trap '' HUP PIPE
    go_back
fi
refuse_beside_another
[ ! -e "$MARKER" ] || die "an upgrade was cut off; go back first: sh upgrade.sh --back"

# Before anything is changed.
say "checking $NEW"
(cd "$NEW" && sha256sum --quiet --check SHA256SUMS) || die "$NEW is damaged: see above"
rm -rf next && mkdir next
tar -xf "$NEW/compose.tar.gz" -C next
rm -rf previous.new && mkdir previous.new
for file in $FILES; do
    [ ! -f "$file" ] || cp -p "$file" previous.new/
done
for name in $(image_names .); do
    id=$(image_id "$name") || continue
    echo "$name $id" >>previous.new/images
done
[ -s previous.new/images ] || die "the images that compose.yaml names are not there; $ENGINE images lists those that are"
while read -r name id; do
    limited "$ENGINE" tag "$id" "${name%:*}:previous"
done <previous.new/images
echo $$ >previous.new/upgrading
[ ! -e "$MARKER" ] || die "another upgrade has just begun"
rm -rf previous && mv previous.new previous

trap 'exit 130' INT TERM
trap '' HUP PIPE # a dropped connection does not stop the upgrade
trap 'warn "the upgrade was ended"; go_back' EXIT

say "loading the new images"
for file in "$NEW"/hemorrhage-images-*.tar; do
    limited "$ENGINE" load --quiet --input "$file" >/dev/null
done
NEW_SERVICE=$(image_id "$(image_names next | grep '/hemorrhage-service:')")
for file in $(echo "${COMPOSE_FILE:-compose.yaml}" | tr : ' '); do
    for name in $(sed -n 's/^ *image: *//p' "next/$file" 2>/dev/null); do
        image_id "$name" >/dev/null || {
            warn "the image $name is not there: load or build it first (docs/containers.md)"
            exit 1
        }
    done
done
install -d -m 700 -o 10001 -g 10001 backups
kind=$(in_new_image kind)
[ "$kind" = file ] || [ "$HAS_BACKUP" = yes ] || {
    warn "the ledger (ledger.url) is not in the volume hemorrhage_state: back it up by its own means, and call this with"
    warn "--ledger-has-backup"
    exit 1
}

say "stopping the service; Orthanc goes on taking studies"
STOPPED=yes
compose stop service triton >/dev/null
if [ "$kind" = file ]; then
    copied=$(in_new_image copy /backups)
    COPY=${copied% *}
    REVISION=${copied#* }
    echo "$COPY $REVISION" >previous/ledger
    say "the ledger is copied to backups/$COPY"
fi

for file in $FILES; do
    [ ! -f "next/$file" ] || cp "next/$file" "$file"
done
rm -rf next
say "starting the new version, which has $PATIENCE_S s to get well"
started=$(compose up -d --force-recreate) || {
    warn "it does not start: $started"
    go_back
}
if ! await_well "$PATIENCE_S"; then
    warn "the new version is not well: $fault"
    compose logs --tail 8 service triton orthanc >&2 || true
    go_back
fi
trap - EXIT INT TERM
rm -f "$MARKER"
say "the new version runs and is well; the one before is kept with the tag previous"
