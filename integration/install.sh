#!/usr/bin/env bash
# Installs the middleboxes that the tests here start, from Debian's packages,
# unless their commands are there already. Needs root and apt-get only when
# something is missing. None is left running as a service of the system: the
# tests start their own, on loopback.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin # where Debian keeps them, also for those who are not root

missing=()
need() { # command package
	if ! command -v "$1" >/dev/null; then missing+=("$2"); fi
}
need nginx nginx
need haproxy haproxy
need squid squid
need tinyproxy tinyproxy-bin

if ((${#missing[@]} == 0)); then
	echo 'nginx, haproxy, squid and tinyproxy are installed'
	exit 0
fi

# A policy that answers 101 keeps invoke-rc.d from starting a package's service.
policy=/usr/sbin/policy-rc.d
kept=
placed=
restore() {
	local status=$?
	if [ -n "$placed" ]; then rm -f "$policy"; fi
	if [ -n "$kept" ]; then mv "$kept" "$policy"; fi
	exit "$status"
}
trap restore EXIT

denies() {
	local status=0
	"$policy" nginx start >/dev/null 2>&1 || status=$?
	((status == 101))
}
if [ ! -x "$policy" ] || ! denies; then
	if [ -e "$policy" ]; then
		kept=$policy.holdfast
		mv "$policy" "$kept"
	fi
	placed=yes
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"

# Nor are they to start with the system next time.
if command -v systemctl >/dev/null; then
	for name in "${missing[@]}"; do
		systemctl --quiet disable "$name" 2>/dev/null || true
	done
fi
