#!/usr/bin/env bash
# Makes this machine ready: engine, virtual environment, base image, the stack's images.
# Does only what is missing; run again it takes about a second. Steps that need root are named first.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly BASE_IMAGE=debian:trixie-slim
readonly STAMPS=.venv/stamps

say() { printf '\033[1m==> %s\033[0m\n' "$*"; }
fail() { printf 'error: %s\n       %s\n' "$1" "$2" >&2; exit 4; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }
engine_answers() { timeout 20 docker info >/dev/null 2>&1; }
python_is_ready() { python3 -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; }

# done_before NAME INPUT... : whether step NAME was done with just these inputs
digest_of() { cat "$@" | sha256sum | cut -d' ' -f1; }
done_before() { [ "$(cat "$STAMPS/$1" 2>/dev/null)" = "$2" ]; }
mark_done() { mkdir -p "$STAMPS"; echo "$2" > "$STAMPS/$1"; }

apt_install() {
    command -v apt-get >/dev/null || fail "no apt-get here to install: $*" "install these yourself, then run this again"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c "apt-get update -qq && apt-get install -y -qq --no-install-recommends $*" >/dev/null \
        || fail "apt-get could not install: $*" "see its message above"
}

announce_root_steps() {
    local steps=()
    python_is_ready || steps+=("install python3 and python3-venv (apt)")
    command -v dockerd >/dev/null || engine_answers || steps+=("install the Docker engine (apt: docker.io)")
    engine_answers || steps+=("start dockerd")
    engine_answers && docker image inspect $BASE_IMAGE >/dev/null 2>&1 \
        || steps+=("make the base image with debootstrap, where no image registry answers")
    [ ${#steps[@]} = 0 ] && return
    say "These steps need root:"
    printf '    - %s\n' "${steps[@]}"
    [ "$(id -u)" = 0 ] || command -v sudo >/dev/null || fail "not root, and no sudo" "run as root, or have these done for you"
}

ensure_python() {
    python_is_ready && return
    say "Installing Python"
    apt_install python3 python3-venv
    python_is_ready || fail "python3 is older than 3.11, or has no venv module" "install Python 3.11 or newer"
}

ensure_engine() {
    engine_answers && return
    if ! command -v dockerd >/dev/null; then
        say "Installing the Docker engine"
        apt_install docker.io iptables
    fi
    say "Starting dockerd (log: /var/log/dockerd-harness.log)"
    # A service manager where there is one; else a process of its own that outlives this script.
    as_root sh -c 'if [ -d /run/systemd/system ]; then systemctl start docker; else
        rm -f /var/run/docker.pid; setsid nohup dockerd >/var/log/dockerd-harness.log 2>&1 < /dev/null & fi'
    for _ in $(seq 60); do engine_answers && return; sleep 1; done
    fail "dockerd does not answer after 60 s" "see /var/log/dockerd-harness.log, or run: docker info"
}

ensure_venv() {
    local wanted; wanted=$(digest_of requirements.txt requirements-dev.txt pyproject.toml; python3 -V)
    done_before venv "$wanted" && return
    say "Virtual environment in .venv, from hash-pinned requirements"
    [ -x .venv/bin/python ] || python3 -m venv .venv
    .venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements.txt
    .venv/bin/pip install -q --disable-pip-version-check --require-hashes -r requirements-dev.txt
    # A path file and a script do what an editable install does, without a build from the network.
    .venv/bin/python - <<'PY'
import pathlib, sys, sysconfig
root = pathlib.Path.cwd()
pathlib.Path(sysconfig.get_path("purelib"), "harness-project.pth").write_text(f"{root}\n")
script = pathlib.Path(sysconfig.get_path("scripts"), "harness")
script.write_text(f"#!{sys.executable}\nimport sys\nfrom harness.cli import main\nsys.exit(main())\n")
script.chmod(0o755)
PY
    mark_done venv "$wanted"
}

ensure_base_image() {
    docker image inspect $BASE_IMAGE >/dev/null 2>&1 && return
    say "Base image $BASE_IMAGE"
    timeout 30 docker pull -q $BASE_IMAGE >/dev/null 2>&1 && return
    echo "    no image registry answers: making it with debootstrap"
    command -v debootstrap >/dev/null || apt_install debootstrap debian-archive-keyring
    local tree; tree=$(mktemp -d)
    as_root debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg \
        --force-check-gpg trixie "$tree/root" > "$tree/log" 2>&1 \
        || fail "debootstrap failed: $(tail -n1 "$tree/log")" "log: $tree/log"
    as_root rm -rf "$tree/root/var/cache/apt/archives" "$tree/root/var/lib/apt/lists"
    as_root tar -C "$tree/root" -c . | docker import - $BASE_IMAGE >/dev/null
    as_root rm -rf "$tree"
}

ensure_images() {
    # TLS to package registries may pass a local certificate authority: build stages trust what the host trusts.
    cmp -s /etc/ssl/certs/ca-certificates.crt target/ca-certificates.crt \
        || cp /etc/ssl/certs/ca-certificates.crt target/ca-certificates.crt
    local wanted; wanted=$(git ls-files -co --exclude-standard target docker-compose.yml | sort | xargs sha256sum | sha256sum;
        docker image inspect -f '{{.Id}}' $BASE_IMAGE)
    if done_before images "$wanted" && images_exist; then return; fi
    say "Images of the stack (first time: about 4 minutes)"
    .venv/bin/harness build
    mark_done images "$wanted"
}

images_exist() {
    local image
    for image in $(sed -n 's/^ *image: \(harness-[a-z]*:local\)$/\1/p' docker-compose.yml | sort -u); do
        docker image inspect "$image" >/dev/null 2>&1 || return 1
    done
}

announce_root_steps
ensure_python
ensure_venv
[ "${1:-}" = --no-docker ] && exit 0
ensure_engine
ensure_base_image
ensure_images
