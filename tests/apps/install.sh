#!/bin/sh
# Installs the missing applications from Debian, PyPI and npm, and prints the time of each part. No service is started: the
# tests start their own. --missing: list the missing packages, and install nothing.
set -eu
cd "$(dirname "$0")"

. ../debian.sh

python() { # python FOLDER REQUIREMENTS
    [ -x "$1/bin/pip" ] || python3 -m venv "$1"
    # Python compiles the few imported files at their first import.
    "$1/bin/pip" install --quiet --disable-pip-version-check --no-compile -r "$2"
}

# The lock file excludes sqlite3, an optional dependency of Etherpad. sqlite3 is a Git repository, which Debian's npm 9
# cannot override.
node_modules() {
    if ! npm ls > /dev/null 2>&1; then
        npm ci --no-progress
    fi
    cd servers/next
    if [ ! -e .next/BUILD_ID ] || [ -n "$(find pages next.config.mjs ../../package-lock.json -newer .next/BUILD_ID)" ]; then
        NEXT_TELEMETRY_DISABLED=1 node ../../node_modules/next/dist/bin/next build
    fi
}

timed() { # timed COMMAND...
    began=$(date +%s)
    "$@"
    echo "installed: $* ($(($(date +%s) - began)) s)"
}

# The programs that install the rest. They may be installed without a package. Debian's Node.js 18 is sufficient. The last
# Playwright for Node.js 18 is 1.61.
first=""
command -v node > /dev/null || first="$first nodejs"
command -v npm > /dev/null || first="$first npm"
python3 -c 'import venv, ensurepip' > /dev/null 2>&1 || first="$first python3-venv"
missing=""
command -v chromium > /dev/null || missing="$missing chromium"
command -v openssl > /dev/null || missing="$missing openssl"
# Without dbconfig-no-thanks, packages would create databases.
for package in dbconfig-no-thanks mariadb-server mediawiki php-cli php-curl php-gd php-intl php-mbstring php-mysql php-sqlite3 php-xml \
    phpmyadmin puma redmine redmine-sqlite wordpress wordpress-theme-twentytwentyone; do
    dpkg-query -W -f '${Status}' "$package" 2> /dev/null | grep -q ' installed$' || missing="$missing $package"
done
if [ "${1:-}" = --missing ]; then
    echo "$first$missing"
    exit
fi
# Check the permission before the downloads below.
# shellcheck disable=SC2086
[ -z "$first$missing" ] || may_install $first $missing
# shellcheck disable=SC2086
[ -z "$first" ] || timed debian $first

# Downloads run concurrently with the installation of packages, which is limited by the disk.
log=$(mktemp -d)
{
    timed python python requirements.txt
    timed python pgadmin pgadmin.txt
} > "$log/python" 2>&1 & python=$!
timed node_modules > "$log/node" 2>&1 & node=$!
# shellcheck disable=SC2086
[ -z "$missing" ] || timed debian $missing
for part in "$python python" "$node node"; do
    # shellcheck disable=SC2086
    set -- $part
    wait "$1" || { cat "$log/$2"; exit 1; }
    grep '^installed: ' "$log/$2"
done
rm -rf "$log"
