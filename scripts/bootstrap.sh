#!/usr/bin/env bash
# Makes this machine ready: engine, virtual environment, base image, the stack's images.
# Does only what is missing; run again it takes under a second. Steps that need root are named first.
#   --no-docker   only Python and the virtual environment
#   --no-images   not the stack's images: all that may need root, and what they are built from
#   --promtool    also what tests the alert rules
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BASE_IMAGE=debian:trixie-slim
readonly STAMPS=.venv/stamps
readonly ENGINE_LOG=/var/log/dockerd-harness.log
readonly ENGINE_PID=/var/run/docker.pid   # written by dockerd itself
readonly PROMTOOL=.venv/bin/promtool
readonly PIP=".venv/bin/python -m pip --quiet --disable-pip-version-check"
WITH_DOCKER=yes WITH_IMAGES=yes WITH_PROMTOOL=no
for option in "$@"; do
    case $option in
        --no-docker) WITH_DOCKER=no;;
        --no-images) WITH_IMAGES=no;;
        --promtool) WITH_PROMTOOL=yes;;
        *) echo "error: no such option: $option" >&2; exit 2;;
    esac
done
readonly WITH_DOCKER WITH_IMAGES WITH_PROMTOOL

say() { printf '==> %s\n' "$*"; }
fail() { printf 'error: %s\n       %s\n' "$1" "$2" >&2; exit 4; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
engine_answers() { timeout 20 docker version >/dev/null 2>&1; }
have_image() { docker image inspect "$1" >/dev/null 2>&1; }
python_is_ready() {
    python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# A stamp holds what a step was done with; other inputs, or no stamp, mean: do it (again).
done_before() { [ -f "$STAMPS/$1" ] && [ "$(cat "$STAMPS/$1")" = "$2" ]; }
mark_done() { mkdir -p "$STAMPS"; echo "$2" > "$STAMPS/$1"; }

apt_install() {
    command -v apt-get >/dev/null \
        || fail "no apt-get on this machine to install: $*" "install these yourself, then run this again"
    local quiet="apt-get -qq -o DPkg::Lock::Timeout=120"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c \
        "timeout 300 $quiet update && timeout 900 $quiet install -y --no-install-recommends $*" >/dev/null \
        || fail "apt-get could not install: $*" "see its message above"
}

announce_root_steps() {
    local steps=()
    python_is_ready || steps+=("install python3 and python3-venv (apt)")
    if [ $WITH_DOCKER = yes ] && ! engine_answers; then
        refuse_without_permission
        command -v dockerd >/dev/null || steps+=("install the Docker engine (apt: docker.io, iptables)")
        steps+=("start dockerd")
    fi
    if [ $WITH_DOCKER = yes ] && ! have_image $BASE_IMAGE; then
        steps+=("make the base image with debootstrap (only if no image registry answers)")
    fi
    [ ${#steps[@]} = 0 ] && return
    say "These steps need root:"
    printf '    - %s\n' "${steps[@]}"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null \
        || fail "not root, and there is no sudo" "run this as root, or have these steps done for you"
}

# An engine that runs but refuses this user is not fixed by starting another one.
refuse_without_permission() {
    local answer; answer=$(timeout 20 docker version 2>&1 || true)
    if [[ ${answer,,} = *"permission denied"* ]]; then
        fail "no permission for the Docker engine" "sudo usermod -aG docker $(id -un), then log in again"
    fi
}

ensure_python() {
    python_is_ready && return
    say "Python"
    apt_install python3 python3-venv
    python_is_ready || fail "python3 is older than 3.11, or has no venv module" "install Python 3.11 or newer"
}

ensure_venv() {
    local wanted
    # The path is in it because the scripts of a virtual environment do not survive a move.
    wanted=$({ pwd; python3 -V; cat requirements.txt requirements-dev.txt pyproject.toml; } | sha256sum)
    done_before venv "$wanted" && [ -x .venv/bin/harness ] && return
    say "Virtual environment in .venv, from hash-pinned requirements"
    .venv/bin/python -c pass 2>/dev/null || python3 -m venv --clear .venv
    install_requirements --require-hashes -r requirements.txt -r requirements-dev.txt
    $PIP install --no-deps --no-build-isolation --no-index --editable . \
        || fail "pip could not install the project itself" "see its message above"
    mark_done venv "$wanted"
}

# uv is several times as fast as pip, but knows nothing of pip's settings: of a mirror, say.
install_requirements() {
    $PIP install --require-hashes -r <(sed -n '/^uv==/,/[^\\]$/p' requirements-dev.txt) \
        && timeout 600 .venv/bin/uv pip install --quiet --python .venv/bin/python "$@" && return
    say "uv could not install the requirements; pip tries"
    $PIP install "$@" || fail "pip could not install the requirements" "see its message above"
}

# 2.42 is the first that knows `keep_firing_for`. Since 3.0 a window of 10 s has one sample less: the
# times in the tests of the rules would be others, and not those of the Prometheus in the image.
is_promtool() {
    local version; version=$("$1" --version 2>&1) || return 1
    [[ $version =~ version\ 2\.([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge 42 ]
}

ensure_promtool() {
    is_promtool $PROMTOOL && return
    say "promtool in .venv, for the tests of the alert rules"
    local found; found=$(command -v promtool || true)
    if [ -n "$found" ] && is_promtool "$found"; then
        ln -sf "$found" $PROMTOOL
    else
        fetch_promtool "put promtool of Prometheus 2.42 or newer, below 3.0, into PATH and run this again"
    fi
}

fetch_promtool() {
    local remedy=$1 work
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null \
        || fail "no promtool on this machine, and no apt-get to fetch it with" "$remedy"
    work=$(mktemp -d)
    download_promtool "$work" || { update_packages "$work" || true; download_promtool "$work"; } \
        || fail "apt-get could not download promtool: $(tail -n1 "$work/log")" "see $work/log, or $remedy"
    dpkg-deb --extract "$work"/*.deb "$work/root" >> "$work/log" 2>&1 || true
    is_promtool "$work/root/usr/bin/promtool" \
        || fail "no promtool 2.42 or newer, below 3.0, in $(basename "$work"/*.deb)" "$remedy"
    rm -f $PROMTOOL                 # may be a link to what somebody else uses
    cp "$work/root/usr/bin/promtool" $PROMTOOL
    rm -rf "$work"
}

# Nothing is installed, so this needs no root. apt-get checks the package by the hash in its signed
# list. A package of its own since Debian 13, before a part of `prometheus`.
download_promtool() {
    local package=prometheus
    apt-cache show promtool >/dev/null 2>&1 && package=promtool
    (cd "$1" && rm -f ./*.deb && timeout 300 apt-get download $package) >> "$1/log" 2>&1
}

update_packages() {
    echo "    apt-get update, as root: the lists of packages are missing or old"
    as_root timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120 update >> "$1/log" 2>&1
}

ensure_engine() {
    engine_answers && return
    if ! command -v dockerd >/dev/null; then
        say "Docker engine"
        apt_install docker.io iptables
        engine_answers && return
    fi
    say "Starting dockerd (log: $ENGINE_LOG)"
    as_root sh -c "$(declare -f start_engine); ENGINE_LOG=$ENGINE_LOG ENGINE_PID=$ENGINE_PID; start_engine"
    local deadline=$((SECONDS + 60))
    until engine_answers; do
        [ $SECONDS -lt $deadline ] || fail "dockerd does not answer after 60 s" "see $ENGINE_LOG"
        sleep 0.5
    done
}

# As root, in sh: by the service manager where there is one, else as a process of its own session,
# which outlives this script. One that is starting already is only waited for.
start_engine () {
    if [ -d /run/systemd/system ]; then
        systemctl start docker
    elif ! grep -qs dockerd "/proc/$(cat $ENGINE_PID 2>/dev/null)/comm"; then
        rm -f $ENGINE_PID
        setsid nohup dockerd >> $ENGINE_LOG 2>&1 < /dev/null &
    fi
}

ensure_base_image() {
    have_image $BASE_IMAGE && return
    say "Base image $BASE_IMAGE"
    timeout 20 docker pull --quiet $BASE_IMAGE >/dev/null 2>&1 && return
    echo "    no image registry answers: making it with debootstrap (about 30 s)"
    local keyring=/usr/share/keyrings/debian-archive-keyring.gpg
    command -v debootstrap >/dev/null && [ -f $keyring ] || apt_install debootstrap debian-archive-keyring
    local work; work=$(mktemp -d -p /var/tmp)
    as_root timeout 600 debootstrap --variant=minbase --keyring=$keyring --force-check-gpg \
        trixie "$work/root" > "$work/log" 2>&1 \
        || fail "debootstrap failed: $(tail -n1 "$work/log")" "see $work/log"
    as_root sh -c "rm -rf '$work'/root/var/cache/apt/archives/*.deb '$work'/root/var/lib/apt/lists/*"
    as_root tar -C "$work/root" -c . | docker import - $BASE_IMAGE >/dev/null
    as_root rm -rf "$work"
}

ensure_images() {
    copy_certificates
    local inputs; inputs=$({ build_inputs | xargs -0 sha256sum; have_ids $BASE_IMAGE; } | sha256sum)
    # The images' ids are in the stamp because clones share them: another one may have rebuilt them.
    done_before images "$inputs $(stack_ids)" && return
    say "Images of the stack (the first time: about 2 minutes)"
    .venv/bin/python scripts/build_images.py
    mark_done images "$inputs $(stack_ids)"
}

# TLS to package registries may pass a local certificate authority: build stages trust what this machine does.
copy_certificates() {
    local bundle
    [ -f /etc/ssl/certs/ca-certificates.crt ] || [ -f /etc/pki/tls/certs/ca-bundle.crt ] \
        || [ -f /etc/ssl/cert.pem ] || apt_install ca-certificates
    for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
        [ -f $bundle ] || continue
        cmp -s $bundle target/ca-certificates.crt || cp $bundle target/ca-certificates.crt
        return
    done
    fail "this machine has no bundle of certificate authorities" "install ca-certificates"
}

# Everything that an image can be made of; what runs or tools leave behind is not.
build_inputs() {
    find docker-compose.yml target -type f ! -path '*/__pycache__/*' ! -path '*/.*' \
        ! -name secrets.env -print0 | sort -z
}

have_ids() { docker image inspect -f '{{.Id}}' "$@" 2>/dev/null || true; }

stack_ids() {
    local images; images=$(find docker-compose.yml target -name '*.y*ml' -exec \
        sed -n 's/^ *image: *\([a-z0-9.-]*:local\) *$/\1/p' {} + | sort -u)
    # shellcheck disable=SC2086
    have_ids $images | sha256sum
}

announce_root_steps
ensure_python
ensure_venv
[ $WITH_PROMTOOL = no ] || ensure_promtool
[ $WITH_DOCKER = yes ] || exit 0
ensure_engine
ensure_base_image
[ $WITH_IMAGES = no ] || ensure_images
