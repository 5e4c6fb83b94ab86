#!/bin/sh
# Import directions (.dependency-cruiser.cjs). A check that looks at nothing would always pass: it has to have
# seen the product's modules.
set -eu
cd "$(dirname -- "$0")/.."
output=$(depcruise --no-progress --config .dependency-cruiser.cjs src) || {
  printf '%s\n' "$output"
  exit 1
}
printf '%s\n' "$output"
seen=$(printf '%s' "$output" | sed -n 's/.*(\([0-9]*\) modules.*/\1/p')
[ "${seen:-0}" -gt 50 ] || {
  echo 'imports: hardly any module was looked at; is the TypeScript parser of dependency-cruiser there?' >&2
  exit 1
}
