#!/usr/bin/env python3
"""Runs parts of the test suite and ends with one line, `N passed, N failed, N skipped`.

    tests/run.py PART...        PART is unit, fuzz, e2e, clients or sweep

The Makefile builds first and gives: B (where things are built), VARIANT, LARDER (the program),
PYTEST (further arguments for pytest), SWEEP (for the sweep). Every result is also a line
`outcome<TAB>id<TAB>reason` of $B/test-results, which .ci/run reads. The exit status is 0 when
something passed and nothing failed.
"""
import glob
import os
import re
import shlex
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

TOP = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILD = os.path.abspath(os.environ.get("B", os.path.join(TOP, "build/release")))
VARIANT = os.environ.get("VARIANT", "release")
# A program or a pytest run that is not done by then hangs; the sanitizers are slow.
SLOW = 1 if VARIANT == "release" else 3
UNIT_SECONDS = 60 * SLOW
PYTEST_SECONDS = 1500 * SLOW
SWEEP_SECONDS = 3 * 3600


def environment():
    env = dict(os.environ, PYTHONDONTWRITEBYTECODE="1", VARIANT=VARIANT, B=BUILD)
    env.setdefault("LARDER", os.path.join(BUILD, "larder"))
    for name, options in {
        "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1",
        "LSAN_OPTIONS": "print_suppressions=0:suppressions=" + os.path.join(TOP, "tests/asan.supp"),
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "TSAN_OPTIONS": "second_deadlock_stack=1:suppressions="
                        + os.path.join(TOP, "tests/tsan.supp"),
    }.items():
        env.setdefault(name, options)
    return env


def run(command, seconds, output=None):
    """Exit status and output of one command in a process group of its own; None is a hang."""
    child = subprocess.Popen(command, cwd=TOP, env=environment(), stdin=subprocess.DEVNULL,
                             stdout=output, stderr=subprocess.STDOUT if output else None,
                             start_new_session=True, text=True, errors="replace")
    try:
        text, _ = child.communicate(timeout=seconds)
        return child.returncode, text or ""
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        text, _ = child.communicate()
        return None, text or ""
    except KeyboardInterrupt:
        os.killpg(child.pid, signal.SIGKILL)
        raise


def program(name, command, seconds=UNIT_SECONDS):
    """One test program that prints TAP: a result a check, and one more if it dies."""
    status, text = run(command, seconds, subprocess.PIPE)
    results = []
    for number, line in enumerate(text.splitlines()):
        match = re.match(r"(not )?ok \d+(?: - (.*?))?(?:\s*# SKIP\s*(.*))?$", line, re.IGNORECASE)
        if not match:
            continue
        outcome = "failed" if match[1] else "skipped" if match[3] is not None else "passed"
        results.append((outcome, f"{name}: {match[2] or number}", match[3] or ""))
    failed = [r for r in results if r[0] == "failed"]
    plan = re.search(r"^1\.\.(\d+)", text, re.MULTILINE)
    if status is None:
        results.append(("failed", name, f"still running after {seconds} s"))
    elif status != 0 and not failed:
        results.append(("failed", name, f"exit status {status}"))
    elif not plan or int(plan[1]) != len(results):
        results.append(("failed", name, f"{len(results)} results do not fit its plan"))
    bad = any(r[0] == "failed" for r in results)
    print(f"{'not ok' if bad else 'ok'} {name} ({len(results)})")
    if bad:
        print(re.sub(r"^ok .*\n", "", text, flags=re.MULTILINE), end="")
        print(f"# {results[-1][1]} {results[-1][2]}")
    sys.stdout.flush()
    return results


def unit():
    results = []
    for source in sorted(glob.glob(os.path.join(TOP, "tests/unit/test_*.c"))):
        name = os.path.basename(source)[:-2]
        results += program(f"unit/{name}", [os.path.join(BUILD, "tests/unit", name)])
    return results


def fuzz():
    results = []
    for source in sorted(glob.glob(os.path.join(TOP, "tests/fuzz/fuzz_*.c"))):
        name = os.path.basename(source)[:-2]
        seeds = os.path.join("tests/fuzz/seeds", name[len("fuzz_"):])
        replay = os.path.join(BUILD, "tests/fuzz", name + ".replay")
        results += program(f"fuzz/{name}", [replay, seeds])
    return results


def pytest(part):
    report = os.path.join(BUILD, part + ".xml")
    if os.path.exists(report):
        os.unlink(report)
    command = [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider",
               "--junitxml", report, os.path.join("tests", part)]
    status, _ = run(command + shlex.split(os.environ.get("PYTEST", "")), PYTEST_SECONDS)
    results = []
    if os.path.exists(report):
        for case in ElementTree.parse(report).iter("testcase"):
            outcome, reason = "passed", ""
            for child in case:
                if child.tag in ("failure", "error"):
                    outcome, reason = "failed", child.get("message") or ""
                elif child.tag == "skipped" and outcome == "passed":
                    outcome, reason = "skipped", child.get("message") or ""
            where = (case.get("classname") or "").replace("tests." + part + ".", "")
            results.append((outcome, f"{part}/{where}::{case.get('name')}", reason))
    if not any(r[0] == "failed" for r in results):
        if status is None:
            results.append(("failed", part, f"still running after {PYTEST_SECONDS} s"))
        elif status != 0:
            results.append(("failed", part, f"pytest ended with status {status}"))
    return results


def sweep():
    return program("sweep", [sys.executable, "tests/e2e/sweep.py",
                             *shlex.split(os.environ.get("SWEEP", ""))], SWEEP_SECONDS)


PARTS = {"unit": unit, "fuzz": fuzz, "e2e": lambda: pytest("e2e"),
         "clients": lambda: pytest("clients"), "sweep": sweep}


def main(parts):
    os.makedirs(BUILD, exist_ok=True)
    results = []
    for part in parts:
        began = time.monotonic()
        print(f"== {part} ({VARIANT})", flush=True)
        found = PARTS[part]() or [("failed", part, "there is no such test")]
        results += found
        print(f"== {part}: {len(found)} results in {time.monotonic() - began:.1f} s", flush=True)
    count = {"passed": 0, "failed": 0, "skipped": 0}
    with open(os.path.join(BUILD, "test-results"), "w", encoding="utf-8") as out:
        for outcome, name, reason in results:
            count[outcome] += 1
            reason = " ".join(reason.split())
            out.write(f"{outcome}\t{name}\t{reason}\n")
            if outcome != "passed":
                print(f"{outcome.upper()} {name}: {reason}")
    print("{passed} passed, {failed} failed, {skipped} skipped".format(**count))
    return 0 if count["passed"] and not count["failed"] else 1


if __name__ == "__main__":
    if not sys.argv[1:] or any(part not in PARTS for part in sys.argv[1:]):
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1:]))
