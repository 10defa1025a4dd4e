# Installs Debian packages without starting the services among them; for the install scripts, which source it.

may_install() { # may_install PACKAGE...: ends the script if it may not install them
    if [ "$(id -u)" -ne 0 ] && ! sudo -n true 2> /dev/null; then
        echo "missing packages: $*" >&2
        echo "run this as root, or install them: apt-get install --no-install-recommends $*" >&2
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
