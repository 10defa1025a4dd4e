# Functions for the install scripts: install Debian packages without starting their services.

may_install() { # may_install PACKAGE...: exits with an error if the user may not install packages
    if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2> /dev/null; then
        echo "missing packages: $*" >&2
        echo "run this as root, or run: apt-get install --no-install-recommends $*" >&2
        exit 1
    fi
}

debian() { # debian PACKAGE...
    may_install "$@"
    echo "installing: $*"
    root=""
    if [ "$(id -u)" -ne 0 ]; then
        root="sudo"
    fi
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee "$policy" > /dev/null
        $root chmod 755 "$policy"
        trap '$root rm -f "$policy"' EXIT
    fi
    $root apt-get update -q
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@"
}
