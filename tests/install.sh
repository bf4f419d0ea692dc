#!/bin/sh
# Installs the Debian packages of tests/packages.txt that are missing here. Does nothing when all are present.
set -eu
list=$(dirname "$0")/packages.txt

if ! command -v dpkg-query >/dev/null; then
	echo "tests/install.sh: this is not a Debian machine; install the equivalents of $list by hand" >&2
	exit 1
fi

missing=
for p in $(grep -v '^#' "$list"); do
	dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
	echo "tests/install.sh: these Debian packages are missing and installing them needs root:" >&2
	echo " $missing" >&2
	echo "Run 'sudo tests/install.sh' once, then 'make test' again." >&2
	exit 1
fi

echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
# shellcheck disable=SC2086 # the list is meant to be split
apt-get install -q -y --no-install-recommends $missing
