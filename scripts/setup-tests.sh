#!/bin/sh
# Brings the foreign software that the interoperability tests talk to: what is missing is installed where that is
# allowed (Debian packages as root, Pebble by Go into .cache/bin), and named where it is not. Never fails: tests
# whose peer is missing skip, and say so.
PEBBLE=github.com/letsencrypt/pebble/v2/cmd
PEBBLE_VERSION=v2.10.1
PACKAGES='openssl curl gnutls-bin apache2-bin nginx-light lego procps chromium python3'

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
bin=$root/.cache/bin
PATH=$bin:$PATH:/usr/sbin:/sbin

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep -q 'ok installed'; }

missing_packages() {
  for package in $PACKAGES; do
    installed "$package" || printf '%s ' "$package"
  done
}

# A package that brings a service must not start it: it would take port 80.
install_packages() {
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"
}

if command -v apt-get >/dev/null 2>&1; then
  packages=$(missing_packages)
  if [ -n "$packages" ] && [ "$(id -u)" = 0 ]; then
    # shellcheck disable=SC2086 -- a list of words
    install_packages $packages >/dev/null 2>&1 || echo "set-up: could not install all of: $packages"
  elif [ -n "$packages" ]; then
    echo "set-up: not root, so these packages stay missing: $packages"
  fi
fi

# Pebble, and the DNS server that the tests have it ask.
if ! command -v pebble >/dev/null 2>&1 || ! command -v pebble-challtestsrv >/dev/null 2>&1; then
  if command -v go >/dev/null 2>&1; then
    for command in pebble pebble-challtestsrv; do
      GOBIN=$bin go install "$PEBBLE/$command@$PEBBLE_VERSION" >/dev/null 2>&1 ||
        echo "set-up: 'go install $PEBBLE/$command@$PEBBLE_VERSION' failed"
    done
  elif [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    install_packages pebble >/dev/null 2>&1
  fi
fi

for peer in openssl curl gnutls-cli apache2 nginx lego chromium python3 pebble pebble-challtestsrv; do
  command -v "$peer" >/dev/null 2>&1 || echo "set-up: $peer is missing; the tests that need it are skipped"
done
exit 0
