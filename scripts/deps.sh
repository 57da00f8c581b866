#!/bin/sh
# Brings the dependencies of package-lock.json into node_modules, among them the two runtimes (bun, deno), so that nothing
# but node with npm (or a bun) need be on the machine. Installs again only when package-lock.json has changed since.
set -eu
cd "$(dirname "$0")/.."

stamp=node_modules/.installed-package-lock.json

install() {
  # The stamp goes first: an install that is cut short is begun anew the next time.
  rm -f "$stamp"
  if command -v npm >/dev/null 2>&1; then
    install_with_npm
  elif command -v bun >/dev/null 2>&1; then
    # Bun reads package-lock.json where there is no bun.lock; --no-save keeps it from writing one.
    bun install --no-save
  else
    echo "Cannot get the dependencies: neither npm nor bun is on the PATH (Debian: apt-get install npm)" >&2
    exit 1
  fi
}

# A registry that mirrors only some platforms' packages makes a lock without the others. npm 9 and 10 take such a lock;
# npm 11 calls it out of sync (EUSAGE) though nothing is missing that this machine could use. `npm install --no-save`
# takes the versions and checksums of the lock and writes nothing. That nothing else came is checked here.
install_with_npm() {
  log=$(mktemp)
  if npm ci --no-audit --no-fund --loglevel=error >"$log" 2>&1; then
    cat "$log"
    rm -f "$log"
    return
  fi
  if ! grep -q 'code EUSAGE' "$log"; then
    cat "$log" >&2
    rm -f "$log"
    exit 1
  fi
  echo "npm ci: refused, packages of other platforms are missing from package-lock.json; using npm install --no-save" >&2
  rm -f "$log"
  npm install --no-save --no-audit --no-fund --loglevel=error
  node -e '
    const { readFileSync } = require("node:fs");
    const [locked, installed] = ["package-lock.json", "node_modules/.package-lock.json"].map(
      (file) => JSON.parse(readFileSync(file, "utf8")).packages,
    );
    for (const [path, { version, integrity }] of Object.entries(installed)) {
      if (locked[path]?.version === version && locked[path].integrity === integrity) continue;
      console.error(`Cannot get the dependencies: ${path} ${version} came, but package-lock.json has ${locked[path]?.version}`);
      process.exitCode = 1;
    }
  '
}

# The npm packages of both runtimes ship the executable in a package for the machine at hand and put it in place with an
# install script. Where install scripts are not run (npm --ignore-scripts, or an npm that asks first), a stub stands in
# its place. So the executable is asked for its version, and linked by us when it cannot tell it.
ensure_runtime() { # name, packaged executable
  wanted=$(sed -n 's/.*"version": *"\([^"]*\)".*/\1/p' "node_modules/$1/package.json" | head -n 1)
  case "$("node_modules/.bin/$1" --version 2>/dev/null || true)" in
    "$wanted"* | "$1 $wanted"*) return ;;
  esac
  if [ -x "$2" ]; then
    ln -sf "../${2#node_modules/}" "node_modules/.bin/$1"
  fi
  case "$("node_modules/.bin/$1" --version 2>/dev/null || true)" in
    "$wanted"* | "$1 $wanted"*) ;;
    *)
      echo "Cannot run node_modules/.bin/$1: $1 $wanted has no working executable for $(uname -s) $(uname -m)" >&2
      echo "(x64 and arm64 with glibc are supported; optional dependencies must not be left out)" >&2
      exit 1
      ;;
  esac
}

if [ -f "$stamp" ] && cmp -s package-lock.json "$stamp"; then
  exit 0
fi
install
case "$(uname -m)" in
  x86_64 | amd64) bun_arch=x64 deno_arch=x64 ;;
  aarch64 | arm64) bun_arch=aarch64 deno_arch=arm64 ;;
  *) bun_arch=$(uname -m) deno_arch=$(uname -m) ;;
esac
ensure_runtime bun "node_modules/@oven/bun-linux-$bun_arch/bin/bun"
ensure_runtime deno "node_modules/@deno/linux-$deno_arch-glibc/deno"
cp package-lock.json "$stamp"
