#!/bin/sh
# tests/lint/lint.sh - what can be said of the sources without running them.
#
#     lint.sh [CHECK...]       CHECK is rules, format, warnings, scripts, python, json, tidy or self
#
# `make lint` gives CC, FLAGS, PYTHON and B. B keeps by content what clang-tidy found nothing in, so
# that only what changed is looked at again. Ends with `N passed, N failed, 0 skipped`, in checks.
set -u
cd "$(dirname "$0")/../.." || exit 1
: "${CC:=cc}" "${FLAGS:=-std=c11 -D_GNU_SOURCE -Isrc -Wall}" "${PYTHON:=python3}"
: "${B:=build/release}"
sources=$(find src tests -name '*.c' | sort)
headers=$(find src tests -name '*.h' | sort)
scripts=$(grep -rlIE '^#!/bin/sh' .ci config docker tests 2>/dev/null | sort)
pythons=$({ find tests -name '*.py'; grep -rlIE '^#!.*python3$' tests; } | sort -u)

# Runs the command once for each line of stdin, as many at once as there are CPUs; {} is the line.
each() {
    xargs -P "$(nproc)" -I '{}' sh -c "$1"
}

check_rules() {
    $PYTHON tests/lint/rules.py
}

check_format() {
    # shellcheck disable=SC2086 # names have no blanks
    clang-format --dry-run -Werror $sources $headers 2>&1 |
        sed -n 's/: error: .*/: not as clang-format -i would have it/p' | sort -u -t: -k1,2 | grep .
    test $? -ne 0
}

check_warnings() {
    echo "$sources" | each "$CC $FLAGS -Werror -fsyntax-only {}"
}

check_scripts() {
    # shellcheck disable=SC2086
    test -z "$scripts" || shellcheck -s sh $scripts
}

check_python() {
    # shellcheck disable=SC2086
    test -z "$pythons" || $PYTHON -m pyflakes $pythons
}

check_json() {
    find config docker -name '*.json' 2>/dev/null |
        each "$PYTHON -m json.tool {} /dev/null || { echo '{}: is no JSON'; exit 1; }"
}

check_tidy() {
    known=$B/tidy
    mkdir -p "$known"
    version=$(clang-tidy --version && cat .clang-tidy)
    export known version
    # shellcheck disable=SC2016 # for the inner shell
    echo "$sources" | grep '^src/' | each '
        hash=$({ echo "$version"; '"$CC $FLAGS"' -E -C {}; } | sha256sum | cut -c 1-64)
        test ! -e "$known/$hash" || exit 0
        if clang-tidy --quiet {} -- '"$FLAGS"' >"$known/$hash.said" 2>&1; then
            mv "$known/$hash.said" "$known/$hash"
        else
            grep ": error: " "$known/$hash.said" || cat "$known/$hash.said"
            echo "    how it comes to that: $known/$hash.said"
            exit 1
        fi'
}

# That each check refuses what it is there for.
check_self() {
    $PYTHON tests/lint/test_lint.py
}

passed=0
failed=0
test $# -gt 0 || set -- rules format warnings scripts python json self tidy
for name in "$@"; do
    if "check_$name"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "lint: the check \"$name\" failed"
    fi
done
echo "$passed passed, $failed failed, 0 skipped"
test "$failed" -eq 0
