#!/bin/sh
# `npm test`: format, lint, types, import directions, then all tests.
set -eu
root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
cd "$root"

oxfmt --check .
oxlint
tsc
node scripts/imports.ts

sh scripts/setup-tests.sh
PATH=$root/.cache/bin:$PATH:/usr/sbin:/sbin
export PATH
mkdir -p .cache
failed=$root/.cache/failed-tests
if node --disable-sigusr1 --test --test-concurrency=3 \
  --test-reporter=spec --test-reporter-destination=stdout \
  --test-reporter=./scripts/failed-files.ts --test-reporter-destination="$failed" \
  "src/**/*.test.ts" "test/**/*.test.ts"
then exit 0; fi

# Whole servers, CAs and browsers side by side on few cores: what fails there may have been starved. What fails alone
# as well is broken; what doesn't is named, since a race may be behind it.
[ -s "$failed" ] && [ "$(wc -l <"$failed")" -le 3 ] || exit 1
echo "Once more, each by itself:" $(cat "$failed")
xargs node --disable-sigusr1 --test --test-concurrency=1 <"$failed"
echo "FLAKY (failed beside others, passed alone):" $(cat "$failed")
