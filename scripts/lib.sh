# What the scripts beside this file share: how they speak, wait and fail, and what they learn from the machine.
# Sourced by them after `cd` to the root of the repository. Nothing about a machine is written down here: mirrors, CA
# bundles and pip settings are asked for when they are needed.
# shellcheck shell=bash

PROGRAM=$(basename "$0")
TOOLS=.tools

say() { printf '%s: %s\n' "$PROGRAM" "$*"; }
die() { printf '%s: %s\n' "$PROGRAM" "$*" >&2; exit 1; }

is_root() { [ "$(id -u)" = 0 ]; }

# quietly SECONDS WHAT COMMAND…: run it within the time; when it fails, one line with the last one that it said.
quietly() {
  local bound_s=$1 what=$2 log code=0
  shift 2
  log=$(mktemp)
  timeout "$bound_s" "$@" >"$log" 2>&1 || code=$?
  [ "$code" = 0 ] || fail_with "$what" "$bound_s" "$code" "$log"
  rm -f "$log"
}

fail_with() {
  local what=$1 bound_s=$2 code=$3 log=$4 last
  last=$(last_line "$log")
  rm -f "$log"
  [ "$code" != 124 ] || last="gave up after $bound_s s; ${last:-it said nothing}"
  die "$what failed: ${last:-exit code $code}"
}

last_line() { grep -v '^[[:space:]]*$' "$1" | tail -n 1 | cut -c1-400; }

# one_at_a_time NAME: hold a lock until we end. The kernel lets go of it, so that none is ever stale.
one_at_a_time() {
  { mkdir -p "$TOOLS" && [ -w "$TOOLS" ]; } 2>/dev/null ||
    die "$PWD/$TOOLS cannot be written; run this as the owner of the tree"
  exec 9>"$TOOLS/$1.lock"
  flock -w 900 9 || die "another $1 has held $TOOLS/$1.lock for 15 minutes; end it and try again"
}

# start_time PID: in clock ticks since boot; nothing when there is no such process. The name in the file may hold spaces
# and parentheses, so what stands before the last parenthesis is cut off.
start_time() { sed -E 's/.*\) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# is_alive PID: a process that has ended counts as gone even while nobody has collected it; a bare init takes seconds.
is_alive() { [ -r "/proc/$1/status" ] && ! grep -q $'^State:\tZ' "/proc/$1/status" 2>/dev/null; }

engine_answers() { timeout 20 docker info --format '{{.ServerVersion}}' >/dev/null 2>&1; }

need_engine() { engine_answers || die 'no Docker engine answers; scripts/docker-up installs and starts one'; }

megabytes() { docker image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.0f MB", $1 / 1e6 }'; }

# --- local stand-ins of public images ----------------------------------------------------------------------------

# is_built IMAGE RECIPE: whether the image is there, made of what RECIPE is the hash of.
is_built() {
  [ "$(docker image inspect --format '{{index .Config.Labels "oncekv.recipe"}}' "$1" 2>/dev/null)" = "$2" ] || return 1
  say "$1 is there already"
}

# name_in_env NAME VALUE: set one variable in .env and leave its other lines as they are.
name_in_env() {
  local lines
  touch .env
  lines=$(grep -v "^$1=" .env || true; echo "$1=$2")
  [ "$lines" = "$(cat .env)" ] || echo "$lines" >.env
}

# --- apt ---------------------------------------------------------------------------------------------------------

distribution() { sed -nE 's/^ID="?([a-z]+)"?$/\1/p' /etc/os-release 2>/dev/null; }

# apt_install PACKAGE…: or one line that says why not.
apt_install() {
  is_root || die "$* is missing; as root: apt-get install $*"
  export DEBIAN_FRONTEND=noninteractive
  say "installing $*"
  quietly 300 'apt-get update' apt-get -qq -o DPkg::Lock::Timeout=120 update
  quietly 600 "apt-get install $*" \
    apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
}

# Where this machine gets Debian from; DEBIAN_MIRROR decides, and the public mirror is what remains.
debian_mirror() {
  local found=
  if [ "$(distribution)" = debian ]; then
    found=$(apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' 2>/dev/null |
      awk '$1 == "Debian" && !found { found = $2 } END { print found }')
  fi
  echo "${DEBIAN_MIRROR:-${found:-http://deb.debian.org/debian}}"
}

# unpack_from_trixie PACKAGE FOLDER: a package of Debian 13 into FOLDER/root, with package lists of its own, so that the
# machine's apt knows nothing of another release afterwards.
unpack_from_trixie() {
  local package=$1 scratch=$2 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
  mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial"
  echo "deb [signed-by=$keyring] $(debian_mirror) trixie main" >"$scratch/sources.list"
  local apt=(apt-get -qq -o Dir::Etc::sourcelist="$scratch/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$scratch/lists" -o Dir::Cache="$scratch/cache" -o APT::Sandbox::User=root)
  quietly 300 "apt-get update for trixie" "${apt[@]}" update
  quietly 300 "apt-get download $package" env --chdir="$scratch" "${apt[@]}" download "$package"
  dpkg -x "$scratch/$package"_*.deb "$scratch/root"
}

# --- pip inside docker build -------------------------------------------------------------------------------------

# The CA bundle that this machine was told to trust, nothing when it trusts the usual ones.
ca_bundle() {
  local path
  for path in "${PIP_CERT:-}" "${SSL_CERT_FILE:-}" "${REQUESTS_CA_BUNDLE:-}" "$(pip_setting cert)" \
    /etc/ssl/certs/ca-certificates.crt; do
    if [ -n "$path" ] && [ -f "$path" ]; then
      echo "$path"
      return
    fi
  done
}

host_python() { if [ -x .venv/bin/python ]; then echo .venv/bin/python; else echo python3; fi; }

pip_setting() { pip_settings | sed -n "s/^$1 = //p"; }

# The user's pip settings, from its files and its environment, in the form of a pip.conf without sections.
pip_settings() {
  "$(host_python)" -m pip config list 2>/dev/null | "$(host_python)" -c '
import ast, sys
for line in sys.stdin:
    name, _, value = line.strip().partition("=")
    print(name.rpartition(".")[2], "=", " ".join(ast.literal_eval(value).split()))
' || true  # no pip here: it has no settings either
}

# The same as a pip.conf for docker build: what names a place on the network holds there too, what names a file does
# not. The CA bundle is handed over beside it (services/Dockerfile mounts both as build secrets).
pip_conf_for_build() {
  echo '[global]'
  pip_settings | grep -E '^((extra-)?index-url|trusted-host|proxy|(default-)?timeout|retries) = ' || true
  [ -z "$(ca_bundle)" ] || echo 'cert = /run/secrets/ca_bundle'
}
