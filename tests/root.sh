#!/bin/sh
# Fails without root, and lists the missing packages. `make real` needs root for fault injection.
set -eu
[ "$(id -u)" -ne 0 ] || exit 0
cd "$(dirname "$0")"
echo "not root: the fault-injection tests create network namespaces and mount disks" >&2
missing=$({ real/install.sh --missing; apps/install.sh --missing; } | tr ' ' '\n' | sort -u | tr '\n' ' ')
[ -z "${missing# }" ] || echo "missing packages:$missing" >&2
echo "without root: make check, docs, unit, static; with all packages also: apps, instructions, fuzz" >&2
exit 1
