#!/usr/bin/env python3
"""The house rules that no compiler knows; lint.sh runs it.

    tests/lint/rules.py [TOP]

Prints `path:line: [rule] what is wrong` for each violation and exits 1 where there is any. A banned
function is waived on its line by a comment `lint: allow` NAME `because` REASON; anything else by a
line `rule path reason` in tests/lint/exceptions, where path may end in `:function`. A waiver or an
exception that nothing needs is itself a violation.
"""
import ast
import json
import os
import re
import subprocess
import sys

C_LINES, HEADER_LINES, FUNCTION_LINES, COLUMNS = 800, 200, 80, 100
PARAMETERS, PROJECT_INCLUDES, NESTING = 6, 12, 3

LIBRARIES = {  # which files may include what, as patterns over paths
    r"lmdb\.h": r"src/store/db\.c",
    r"openssl/.*": (r"(src/(base/sha|base/ed25519|net/tls|net/tls_words|net/records|net/stream)"
                    r"|tests/bench/load)\.c"),
    r"event2/(event|event_struct|thread|util)\.h": r"src/loop/.*",
    r"event2/.*": r"none",
    r"jansson\.h": (r"src/(oci/.*|cli/(config[a-z_]*|stages|ls|rm|gc|stats|pin|command)\.[ch]"
                    r"|admin/.*)"),
    r"curl/.*|event\.h|evhttp\.h|evdns\.h": r"none",
}
BANNED = {  # function: why
    **dict.fromkeys(["strcpy", "strcat", "sprintf", "vsprintf", "gets", "alloca"], "has no bound"),
    **dict.fromkeys(["strtok", "gmtime", "localtime", "asctime", "ctime"], "has one static buffer"),
    **dict.fromkeys(["atoi", "atol", "atoll"], "cannot say that its text is no number"),
    **dict.fromkeys(["system", "popen"], "starts a shell"),
    **dict.fromkeys(["sleep", "usleep", "nanosleep"], "blocks a thread, or makes a test a gamble"),
}
BANNED_MEMORY = dict.fromkeys(["malloc", "calloc", "realloc", "strdup", "strndup", "asprintf",
                               "vasprintf"], "may give NULL; base/mem.h has what aborts instead")
# Where bare allocation is the point, or where base/mem.h is out of reach.
MEMORY_HOME = re.compile(r"src/base/mem\.c|tests/(bench|unit)/.*")
MACHINE_PATH = re.compile(r"/(?:work|home|root|tmp/b-)[a-z0-9_-]*/")
UNFINISHED = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
WAIVER = re.compile(r"lint: allow ([\w.]+) because \S+")


class Lint:
    def __init__(self, top):
        self.top = top
        self.problems = []
        self.exceptions = self.read_exceptions()
        self.used = set()

    def read_exceptions(self):
        found = {}
        for number, line in enumerate(self.lines("tests/lint/exceptions"), 1):
            if not line.strip() or line.startswith("#"):
                continue
            words = line.split(None, 2)
            if len(words) < 3:
                self.problems.append(f"tests/lint/exceptions:{number}: [exception] has no reason")
            else:
                found[(words[0], words[1])] = number
        return found

    def lines(self, path):
        try:
            with open(os.path.join(self.top, path), encoding="utf-8") as f:
                return f.read().splitlines()
        except FileNotFoundError:
            return []

    def say(self, rule, path, line, text, function=None):
        for key in ((rule, path), (rule, f"{path}:{function}")):
            if key in self.exceptions:
                self.used.add(key)
                return
        self.problems.append(f"{path}:{line}: [{rule}] {text}")

    def finish(self):
        for (rule, path), number in self.exceptions.items():
            if (rule, path) not in self.used:
                self.problems.append(f"tests/lint/exceptions:{number}: [exception] nothing needs "
                                     f"`{rule} {path}`")
        for problem in self.problems:
            print(problem)
        return 1 if self.problems else 0


def files_of(top):
    """Every file of the tree that git has or would take; all of them where there is no git."""
    if os.path.exists(os.path.join(top, ".git")):
        out = subprocess.run(["git", "-c", "safe.directory=*", "-C", top, "ls-files", "-z",
                              "--cached", "--others", "--exclude-standard"],
                             check=True, capture_output=True).stdout
        found = {name for name in out.decode().split("\0") if name}
    else:
        found = set()
        for folder, folders, names in os.walk(top):
            folders[:] = [f for f in folders if f not in ("build", "__pycache__", ".pytest_cache")]
            found |= {os.path.relpath(os.path.join(folder, name), top) for name in names}
    return sorted(f for f in found if os.path.isfile(os.path.join(top, f)))


def blank(text):
    """C without what comments, strings and characters say, at the same places."""
    def space(match):
        return re.sub(r"[^\n]", " ", match[0])
    token = r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\''
    return re.sub(token, space, text, flags=re.DOTALL)


def without_macros(code):
    """`code` without preprocessor lines, at the same places."""
    return re.sub(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*",
                  lambda m: re.sub(r"[^\n]", " ", m[0]), code, flags=re.MULTILINE)


def line_of(text, offset):
    return text.count("\n", 0, offset) + 1


def check_text(lint, path, text, kind):
    for number, line in enumerate(text.splitlines(), 1):
        if UNFINISHED.search(line):
            lint.say("unfinished", path, number, "what is left to do belongs into an issue")
        if MACHINE_PATH.search(line):
            lint.say("machine-path", path, number, "names a path of one machine")
        if line != line.rstrip():
            lint.say("blanks", path, number, "blanks at the end of the line")
        if kind and len(line.expandtabs()) > COLUMNS:
            lint.say("columns", path, number, f"{len(line)} columns, {COLUMNS} are the most")
    if text and not text.endswith("\n"):
        lint.say("blanks", path, text.count("\n") + 1, "no line end at the end of the file")


def check_head(lint, path, text, kind):
    """Each file says in its first lines what it is."""
    name = path[len("src/"):] if path.startswith("src/") else os.path.basename(path)
    if kind == "c":
        first = re.match(r"/\*.*?\*/", text, re.DOTALL)
        if not first or not re.search(re.escape(name) + r" - \S", first[0]):
            lint.say("header-comment", path, 1, f"does not begin with a comment `{name} - ...`")
    elif kind == "py" and text.strip():
        if ast.get_docstring(ast.parse(text)) is None:
            lint.say("header-comment", path, 1, "has no docstring")
    elif kind == "sh" and not re.match(r"#!.*\n# \S", text):
        lint.say("header-comment", path, 1, "has no comment below its #! line")


def check_size(lint, path, text):
    cap = HEADER_LINES if path.endswith(".h") else C_LINES
    count = text.count("\n")
    if count > cap:
        lint.say("file-size", path, cap + 1, f"{count} lines, {cap} are the most")


def check_includes(lint, path, text, grants):
    parts = path.split("/")
    own = parts[1] if parts[0] == "src" and len(parts) == 3 else None
    includes = [(line_of(text, m.start()), m[1], m[2]) for m in
                re.finditer(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', text, re.MULTILINE)]
    project = [(number, name) for number, mark, name in includes if mark == '"']
    if own is None:
        return
    if own not in grants:
        lint.say("layer", path, 1, f"src/LAYERS does not know {own}")
    for number, name in project:
        folder = name.split("/")[0]
        if "/" not in name or not os.path.exists(os.path.join(lint.top, "src", name)):
            lint.say("layer", path, number, f'"{name}" is no header below src/')
        elif folder != own and folder not in grants.get(own, ()):
            lint.say("layer", path, number, f"src/LAYERS does not let {own} include {folder}")
    for number, mark, name in includes:
        for library, homes in LIBRARIES.items():
            if re.fullmatch(library, name):
                if not re.fullmatch(homes, path):
                    lint.say("library", path, number, f"<{name}> does not belong here")
                break
    if path.endswith(".c"):
        header = "/".join(parts[1:])[:-2] + ".h"
        if os.path.exists(os.path.join(lint.top, "src", header)) and project[:1] != [
                (includes[0][0], header)]:
            lint.say("include-order", path, 1, f'"{header}" is not included first')
        if len(project) > PROJECT_INCLUDES:
            lint.say("includes", path, project[PROJECT_INCLUDES][0],
                     f"{len(project)} project includes, {PROJECT_INCLUDES} are the most")
    else:
        guard = "_".join(parts[1:]).upper().replace(".", "_")
        if not re.search(rf"^#ifndef {guard}\n#define {guard}$", text, re.MULTILINE):
            lint.say("guard", path, 1, f"is not guarded by {guard}")


def check_banned(lint, path, lines, code_lines):
    for number, (line, code) in enumerate(zip(lines, code_lines), 1):
        waived = {m[1] for m in WAIVER.finditer(line)}
        banned = dict(BANNED)
        if path.endswith((".c", ".h")) and not MEMORY_HOME.fullmatch(path):
            banned.update(BANNED_MEMORY)
        called = {m[1] for m in re.finditer(r"\b(\w+)\s*\(", code)} & set(banned)
        for name in sorted(called - waived):
            lint.say("banned", path, number, f"{name}() {banned[name]}")
        for name in sorted(waived - called):
            lint.say("waiver", path, number, f"nothing here needs the waiver for {name}")


def check_python(lint, path, text):
    """Functions, waits and waivers of a Python file; strings and comments do not count as code."""
    tree = ast.parse(text)
    calls = {}
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            length = node.end_lineno - node.lineno + 1
            if length > FUNCTION_LINES:
                lint.say("function-size", path, node.lineno,
                         f"{node.name}() has {length} lines, {FUNCTION_LINES} are the most",
                         node.name)
        elif isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            calls.setdefault(node.lineno, set()).add(name)
    lines = text.splitlines()
    code = ["".join(f" {name}()" for name in calls.get(n, ()) if name == "sleep")
            for n in range(1, len(lines) + 1)]
    check_banned(lint, path, lines, code)


def check_braces(lint, path, code):
    """Every if, else, for, while, do and switch has braces."""
    for match in re.finditer(r"\b(if|for|while|switch|list_each\w*|else|do)\b", code):
        at = match.end()
        if match[1] not in ("else", "do"):
            depth = 0
            for at in range(code.find("(", at), len(code)):
                depth += {"(": 1, ")": -1}.get(code[at], 0)
                if depth == 0:
                    break
            at += 1
        rest = code[at:].lstrip()
        loop_end = match[1] == "while" and code[:match.start()].rstrip().endswith("}")
        if not (rest.startswith("{") or (match[1] == "else" and re.match(r"if\b", rest))
                or (loop_end and rest.startswith(";"))):
            lint.say("braces", path, line_of(code, match.start()), f"{match[1]} without braces")


def check_nesting(lint, path, code_lines):
    """clang-format has set the indentation, so that tells the depth."""
    deep = re.compile(r" {%d,}(?:if|for|while|do|switch|list_each\w*)\b.*" % (4 * (NESTING + 1)))
    inside = False
    for number, line in enumerate(code_lines, 1):
        inside = line.startswith("{") or (inside and not line.startswith("}"))
        if inside and deep.match(line):
            lint.say("nesting", path, number, f"nested more than {NESTING} deep")


def check_functions(lint, paths):
    out = subprocess.run(["ctags", "--output-format=json", "--languages=C", "--langmap=C:.c.h",
                          "--kinds-C=f", "--fields=+neS", "-f", "-"] + paths, cwd=lint.top,
                         check=True, capture_output=True, text=True).stdout
    for line in out.splitlines():
        tag = json.loads(line)
        if tag.get("_type") != "tag" or "end" not in tag:
            continue
        length = tag["end"] - tag["line"] + 1
        if length > FUNCTION_LINES:
            lint.say("function-size", tag["path"], tag["line"],
                     f"{tag['name']}() has {length} lines, {FUNCTION_LINES} are the most",
                     tag["name"])
        count = parameters(tag.get("signature", "()"))
        if count > PARAMETERS:
            lint.say("parameters", tag["path"], tag["line"],
                     f"{tag['name']}() takes {count} parameters, {PARAMETERS} are the most",
                     tag["name"])


def parameters(signature):
    inner = re.sub(r"\([^()]*\)", "", signature.strip()[1:-1])
    while "(" in inner:
        inner = re.sub(r"\([^()]*\)", "", inner)
    return 0 if inner.strip() in ("", "void") else inner.count(",") + 1


def check_c(lint, path, text, grants):
    code = blank(text)
    check_includes(lint, path, text, grants)
    check_banned(lint, path, text.splitlines(), code.splitlines())
    plain = without_macros(code)
    check_braces(lint, path, plain)
    check_nesting(lint, path, plain.splitlines())
    for match in re.finditer(r"^\s*typedef\s+(?:struct|union|enum)\b", plain, re.MULTILINE):
        lint.say("typedef", path, line_of(plain, match.end()), "hides what the type is")


def read_layers(lint):
    grants = {}
    for line in lint.lines("src/LAYERS"):
        if line.strip() and not line.startswith("#"):
            name, _, may = line.partition(":")
            grants[name.strip()] = may.split()
    return grants


def kind_of(path, text):
    """c, py, sh, or "" for what is no source."""
    first = text.split("\n", 1)[0]
    if path.endswith((".c", ".h")):
        return "c"
    if path.endswith(".py") or re.match(r"#!.*\bpython3$", first):
        return "py"
    return "sh" if path.endswith(".sh") or re.match(r"#!.*\b(ba)?sh$", first) else ""


def check_file(lint, path, text, grants):
    kind = kind_of(path, text)
    check_text(lint, path, text, kind)
    if kind:
        check_head(lint, path, text, kind)
        check_size(lint, path, text)
    if kind == "c":
        check_c(lint, path, text, grants)
    elif kind == "py":
        check_python(lint, path, text)
    elif kind == "sh":
        code = [re.sub(r"#.*", "", line) for line in text.splitlines()]
        check_banned(lint, path, text.splitlines(),
                     [re.sub(r"\bsleep (?=[\d$\"])", "sleep(", line) for line in code])
    return kind


def main(top):
    lint = Lint(top)
    grants = read_layers(lint)
    c_files = []
    for path in files_of(top):
        with open(os.path.join(top, path), "rb") as f:
            raw = f.read()
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            lint.say("binary", path, 1, "is not text")
        elif path != "LICENSE" and check_file(lint, path, text, grants) == "c":
            c_files.append(path)
    if c_files:
        check_functions(lint, c_files)
    return lint.finish()


if __name__ == "__main__":
    sys.exit(main(os.path.abspath(sys.argv[1] if sys.argv[1:] else
                                  os.path.join(os.path.dirname(__file__), "../.."))))
