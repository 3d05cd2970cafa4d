#!/bin/sh
# tests/fuzz/run.sh - FUZZ_TIME seconds of libFuzzer for each target; `make fuzz` builds and calls.
# The corpus begins with the seeds and stays below $FUZZERS until `make clean`. What a run finds is
# left in $FUZZERS; write it as a seed (text with escapes) when it is fixed.
set -eu
: "${FUZZERS:?}" "${REPLAYS:?}" "${FUZZ_TIME:=60}"
passed=0
failed=0
for source in tests/fuzz/fuzz_*.c; do
    target=$(basename "$source" .c)
    corpus=$FUZZERS/$target.corpus
    mkdir -p "$corpus"
    "$REPLAYS/$target.replay" "tests/fuzz/seeds/${target#fuzz_}" "$corpus" >/dev/null
    echo "== $target, $FUZZ_TIME s"
    if "$FUZZERS/$target" -max_total_time="$FUZZ_TIME" -timeout=10 -rss_limit_mb=2048 \
        -print_final_stats=1 -artifact_prefix="$FUZZERS/$target." "$corpus" \
        >"$FUZZERS/$target.log" 2>&1 </dev/null; then
        grep -E 'number_of_executed_units|^Done' "$FUZZERS/$target.log" || true
        passed=$((passed + 1))
    else
        tail -n 40 "$FUZZERS/$target.log"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
test "$failed" -eq 0
