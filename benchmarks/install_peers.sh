#!/bin/sh
# Installs what the benchmarks compare with, into .venv/peers: nginx and wrk unpacked from Debian's
# packages (so that no service is set up or started), vegeta, hey and k6 built from pinned modules.
# Idempotent. A tool that is on the machine already is not used: versions must be the same for all.
set -eu
cd "$(dirname "$0")/.."
VEGETA=github.com/tsenart/vegeta/v12@v12.13.0
HEY=github.com/rakyll/hey@v0.1.5
K6=go.k6.io/k6@v1.8.1
PEERS=$PWD/.venv/peers
DOWNLOAD_MAX_S=300
BUILD_MAX_S=900

fail() { echo "install_peers: $*" >&2; exit 1; }

as_root() {
  [ "$(id -u)" = 0 ] && { "$@"; return; }
  command -v sudo >/dev/null || fail "needs root for: $*"
  sudo -n "$@"
}

apt() {  # apt-get with a deadline; its words only when it fails
  log=$PEERS/apt.log
  as_root timeout "$DOWNLOAD_MAX_S" apt-get -q -y -o Acquire::Retries=2 "$@" >"$log" 2>&1 || {
    tail -n 20 "$log" >&2
    fail "apt-get $* failed or took over $DOWNLOAD_MAX_S s; is a Debian mirror reachable?"
  }
}

unpack_packages() {  # each named package and what it needs that the machine lacks
  command -v apt-get >/dev/null || fail "nginx and wrk come from Debian's packages: no apt-get here"
  archives=$PEERS/archives
  rm -rf "$archives" "$PEERS/root"
  mkdir -p "$archives/partial" "$PEERS/root"
  apt update
  apt install --reinstall --download-only --no-install-recommends \
    -o Dir::Cache::archives="$archives" "$@"
  for package in "$archives"/*.deb; do
    dpkg -x "$package" "$PEERS/root" || fail "cannot unpack $package"
  done
  rm -rf "$archives"
}


link_unpacked() {  # NAME PATH: a program in bin/ that finds its libraries
  printf '#!/bin/sh\nLD_LIBRARY_PATH=%s exec %s "$@"\n' \
    "$(echo "$PEERS"/root/usr/lib/*-linux-gnu* | tr ' ' ':')" "$PEERS/root/$2" >"$PEERS/bin/$1"
  chmod +x "$PEERS/bin/$1"
}

install_go_tool() {  # NAME MODULE@VERSION
  case "$(go version -m "$PEERS/bin/$1" 2>/dev/null)" in *"${2##*@}"*) return ;; esac
  echo "building $1 from $2 ..."
  GOBIN=$PEERS/bin CGO_ENABLED=0 timeout "$BUILD_MAX_S" go install "$2" >"$PEERS/$1.log" 2>&1 || {
    tail -n 20 "$PEERS/$1.log" >&2
    fail "go install $2 failed or took over $BUILD_MAX_S s ($(go version))"
  }
}

mkdir -p "$PEERS/bin"
[ -x "$PEERS/bin/nginx" ] && [ -x "$PEERS/bin/wrk" ] || {
  unpack_packages nginx wrk
  link_unpacked nginx usr/sbin/nginx
  link_unpacked wrk usr/bin/wrk
}
command -v go >/dev/null || PATH=$PATH:/usr/local/go/bin
command -v go >/dev/null || { apt update; apt install --no-install-recommends golang-go; }
install_go_tool vegeta "$VEGETA"
install_go_tool hey "$HEY"
install_go_tool k6 "$K6"

"$PEERS/bin/nginx" -v 2>&1 | sed 's/^nginx version: /nginx   /'
"$PEERS/bin/wrk" -v 2>&1 | sed -n '1s/ \[.*//; 1s/^wrk /wrk     /p'
for tool in vegeta hey k6; do
  printf '%-7s %s\n' "$tool" "$(go version -m "$PEERS/bin/$tool" | awk '$1 == "mod" {print $2, $3}')"
done
