# Installs Debian packages without starting the services among them; for the install scripts, which source it.

debian() { # debian PACKAGE...
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
