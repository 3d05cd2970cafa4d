#!/usr/bin/env python3
"""Plants each kind of violation in a small tree of its own and sees that the lint refuses it.

    tests/lint/test_lint.py

Every case is a path, what is written there, and the words that the lint must then say. The tree
without any of them must pass, or all the rest would say nothing.
"""
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile

import rules

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))

GOOD_C = '''/* base/good.c - a file that breaks no rule. */
#include "base/good.h"

#include <stdio.h>

int good_twice(int n)
{
    for (int i = 0; i < n; i++) {
        if (i > 7) {
            return 7;
        }
    }
    return 2 * n;
}
'''
GOOD_H = '''/* base/good.h - what good.c offers. */
#ifndef BASE_GOOD_H
#define BASE_GOOD_H

/* Two times n. */
int good_twice(int n);

#endif
'''
TREE = {
    "src/LAYERS": "# who may include whom\nbase:\nloop: base\n",
    "src/base/good.c": GOOD_C,
    "src/base/good.h": GOOD_H,
    "src/loop/turn.h": "/* loop/turn.h - one turn. */\n#ifndef LOOP_TURN_H\n"
                       '#define LOOP_TURN_H\n\n#include "base/good.h"\n\n#endif\n',
    "tests/lint/exceptions": "# none\n",
    "tests/e2e/test_good.py": '"""A test."""\n\n\ndef test_good():\n    assert True\n',
    "docker/good.sh": "#!/bin/sh\n# good.sh - does nothing.\nset -eu\n",
    "config/good.json": "{}\n",
}


def c(body, path="base/bad.c", head=""):
    """A .c file with these includes and this body of one function."""
    return f"/* {path} - a planted mistake. */\n{head}\nvoid bad(void);\nvoid bad(void)\n{{\n" \
           f"{body}\n}}\n"


def header(count):
    return "\n".join(f'#include "base/h{i}.h"' for i in range(count))


HEADERS = {f"src/base/h{i}.h": f"/* base/h{i}.h - one of many. */\n#ifndef BASE_H{i}_H\n"
                               f"#define BASE_H{i}_H\n#endif\n" for i in range(13)}
BAD_C = "src/base/bad.c"
DEEP = "\n".join(f"{'    ' * n}if (bad) {{" for n in range(1, 5)) + "\n" \
       + "\n".join(f"{'    ' * n}}}" for n in range(4, 0, -1))
UNTIDY = c("    char *p = 0;\n    *p = 1;")

# rule, {path: text}
RULES = [
    ("layer", {BAD_C: c("", head='#include "loop/turn.h"')}),
    ("layer", {BAD_C: c("", head='#include "good.h"')}),
    ("layer", {"src/other/bad.c": c("", "other/bad.c")}),
    ("library", {BAD_C: c("", head="#include <lmdb.h>")}),
    ("library", {BAD_C: c("", head="#include <openssl/ssl.h>")}),
    ("library", {"src/loop/bad.c": c("", "loop/bad.c", "#include <event2/bufferevent.h>")}),
    ("library", {"src/loop/bad.c": c("", "loop/bad.c", "#include <jansson.h>")}),
    ("include-order", {"src/base/good.c": GOOD_C.replace('#include "base/good.h"\n\n', "")
                       + '\n#include "base/good.h"\n'}),
    ("includes", {BAD_C: c("", head=header(13)), **HEADERS}),
    ("guard", {"src/base/bad.h": "/* base/bad.h - no guard. */\n#pragma once\n"}),
    ("file-size", {BAD_C: c("\n" * 800)}),
    ("file-size", {"src/base/good.h": GOOD_H + "\n" * 200}),
    ("function-size", {BAD_C: c("    bad();\n" * 80)}),
    ("function-size", {"tests/e2e/bad.py": '"""Bad."""\n\n\ndef bad():\n' + "    pass\n" * 80}),
    ("parameters", {BAD_C: c("").replace("(void)", "(int a, int b, int c, int d, int e, int f,"
                                                   " int (*g)(int, int))")}),
    ("nesting", {BAD_C: c(DEEP)}),
    ("braces", {BAD_C: c("    if (bad)\n        bad();")}),
    ("braces", {BAD_C: c("    if (bad) {\n    } else\n        bad();")}),
    ("braces", {BAD_C: c("    while (bad)\n        bad();")}),
    ("braces", {BAD_C: c("    for (;;)\n        bad();")}),
    ("typedef", {BAD_C: c("").replace("void bad(void);", "typedef struct bad bad_t;")}),
    ("header-comment", {BAD_C: "int bad;\n"}),
    ("header-comment", {BAD_C: "/* base/good.c - another's. */\n"}),
    ("header-comment", {"tests/e2e/bad.py": "import os\n"}),
    ("header-comment", {"tests/bad": "#!/usr/bin/env python3\nimport os\n"}),
    ("header-comment", {"docker/bad": "#!/bin/sh\nset -eu\n"}),
    ("header-comment", {"docker/bad.sh": "#!/bin/sh\nset -eu\n"}),
    ("unfinished", {BAD_C: c("    /* TO" "DO: more */")}),
    ("unfinished", {"README.md": "FIX" "ME\n"}),
    ("machine-path", {"README.md": "See /ho" "me/somebody/larder.\n"}),
    ("blanks", {"README.md": "two blanks  \n"}),
    ("blanks", {"README.md": "no end"}),
    ("columns", {BAD_C: c("    /* " + "x" * 100 + " */")}),
    ("binary", {"tests/data": "a\0b"}),
    ("waiver", {BAD_C: c("    bad(); /* lint: allow " "malloc because it is not there */")}),
    ("banned", {"tests/e2e/bad.py": '"""Bad."""\nimport time\n\ntime.sleep(1)\n'}),
    ("banned", {"docker/bad.sh": "#!/bin/sh\n# bad.sh - waits.\nsleep 1\n"}),
    ("banned", {BAD_C: c("    malloc(1); /* lint: allow " "malloc */")}),
    ("exception", {"tests/lint/exceptions": "nesting src/base/good.c it is not deep at all\n"}),
    ("exception", {"tests/lint/exceptions": "nesting src/base/good.c\n"}),
] + [("banned", {BAD_C: c(f"    {name}(0);")})
     for name in list(rules.BANNED) + list(rules.BANNED_MEMORY)]

# What must not be refused although it looks like it.
FINE = [
    {BAD_C: c('    bad(); /* system("x") and malloc(1) in words, "if (x) y" too */')},
    {BAD_C: c('    const char *s = "strcpy(a, b) // no comment";')},
    {BAD_C: c("    do {\n        bad();\n    } while (bad);")},
    {BAD_C: c("    malloc(1); /* lint: allow " "malloc because it is waived */")},
    {BAD_C: c("    bad_malloc(1);\n    mem.free(1);")},
    {BAD_C: c("    bad();\n" * 81),
     "tests/lint/exceptions": "function-size src/base/bad.c:bad why\n"},
    {BAD_C: c("", head=header(12)), **HEADERS},
    {BAD_C: c("").replace("(void)", "(int a, int b, int (*c)(int, int), int d, int e, int f)")},
]

# check of lint.sh, {path: text}
CHECKS = [
    ("format", {BAD_C: c("  bad();")}),
    ("warnings", {BAD_C: c("    int unused;")}),
    ("tidy", {BAD_C: UNTIDY}),
    ("scripts", {"docker/bad.sh": "#!/bin/sh\n# bad.sh - forgets quotes.\nrm $1\n"}),
    ("python", {"tests/e2e/bad.py": '"""Bad."""\nimport os\n'}),
    ("python", {"tests/bad": '#!/usr/bin/env python3\n"""Bad."""\nimport os\n'}),
    ("json", {"config/bad.json": "{,}\n"}),
    ("rules", {BAD_C: c("    atoi(0);")}),
]


@contextlib.contextmanager
def tree(changes):
    with tempfile.TemporaryDirectory() as top:
        for path, text in {**TREE, **changes}.items():
            os.makedirs(os.path.dirname(os.path.join(top, path)), exist_ok=True)
            with open(os.path.join(top, path), "w", encoding="utf-8") as f:
                f.write(text)
        yield top


def said_by_rules(changes):
    out = io.StringIO()
    with tree(changes) as top, contextlib.redirect_stdout(out):
        status = rules.main(top)
    return status, out.getvalue()


def status_of_checks(changes, checks):
    with tree(changes) as top:
        for name in (".clang-format", ".clang-tidy", "tests/lint/lint.sh", "tests/lint/rules.py"):
            shutil.copy(os.path.join(TOP, name), os.path.join(top, name))
        env = dict(os.environ, B="build/release", PYTHON=sys.executable,
                   FLAGS="-std=c11 -D_GNU_SOURCE -Isrc -Wall")
        done = subprocess.run(["sh", "tests/lint/lint.sh"] + checks, cwd=top, env=env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.returncode, done.stdout


def main():
    wrong = []
    for rule, changes in RULES:
        status, said = said_by_rules(changes)
        if status != 1 or f"[{rule}]" not in said:
            wrong.append(f"rule {rule} lets pass: {changes}\n{said}")
    for changes in FINE:
        status, said = said_by_rules(changes)
        if status != 0:
            wrong.append(f"refused without need: {changes}\n{said}")
    status, said = status_of_checks({}, [name for name, _ in CHECKS])
    if status != 0:
        wrong.append(f"the tree without a mistake is refused:\n{said}")
    for check, changes in CHECKS:
        status, said = status_of_checks(changes, [check])
        if status == 0:
            wrong.append(f"check {check} lets pass: {changes}\n{said}")
    for text in wrong:
        print(f"lint test: {text}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
