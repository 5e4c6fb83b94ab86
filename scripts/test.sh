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
exec node --disable-sigusr1 --test --test-concurrency=3 "src/**/*.test.ts" "test/**/*.test.ts"
