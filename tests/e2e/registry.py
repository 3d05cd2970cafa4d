"""A registry that does what a test tells it: the scripted upstream of the end-to-end tests.

    reg = Registry()                                   # serves at once, at reg.url
    d = reg.add_blob("library/x", data)                # "sha256:..."
    m = reg.add_manifest("library/x", "latest", body, media_type)
    img = reg.add_image("library/x", "latest", layers=[b"...", b"..."])
    reg.move_tag("library/x", "latest", m); reg.forget("library/x", "latest")
    url = reg.add_file("/signed?x=1", data)            # as a storage behind redirects has it
    reg.add_referrer("library/x", subject_digest, descriptor)

Without rules it answers as a faultless registry does: HEAD, GET, single ranges, tags, referrers.
A rule changes the answers to the next request that it fits, or to more of them:

    rule = reg.on("GET", digest)         # method (None: any) and a part of the target
    rule.times(3) | rule.always()        # not only the next one
    rule.skip(2)                         # lets two of them pass first
    rule.called                          # how many requests it was applied to

The first rule that fits and is not used up is applied, and it alone. What it does, in any
combination that makes sense (each call gives the rule back, except those that give a Gate):

    .status(503, {"Retry-After": "1"}, b"...")         # this instead
    .redirect(url, status=307)
    .body(bytes)                 # these bytes instead of the blob's or manifest's
    .corrupt(offset)             # one byte of them is another one
    .length(n)                   # Content-Length says n; the bytes sent stay the same, then close
    .chunked(size=16384)         # Transfer-Encoding instead of Content-Length
    .ignore_range()              # 200 and all of it
    .wrong_range(shift=1)        # 206, of bytes that were not asked for
    .wrong_total(n)              # what Content-Range says after the slash
    .header(name, value), .without(name)
    .close()                     # `Connection: close`, and it does
    .reset()                     # RST instead of an answer
    .hang_up()                   # FIN instead of an answer
    .drop_after(n)               # FIN after n bytes of the body
    .reset_after(n)              # RST after n bytes of the body
    .rate(bytes_per_second)
    gate = rule.hold_headers()   # nothing is sent until gate.open()
    gate = rule.hold_after(n)    # n bytes of the body are sent, the rest after gate.open()

`gate.reached(timeout)` waits until a request stands there and is False if none comes. Offsets in
`corrupt` are those of the blob; n counts the bytes of one response's body.

What was asked: `reg.requests` (each a Seen), `reg.hits(method, part)`, `reg.wait_hits(method, part,
n)`, `reg.wait_gone(seen)` (who asked for what is held hangs up), `reg.tokens` (how many were
given). Tokens: `reg.auth = Bearer(...)`, `Basic(user, password)` or None; `reg.revoke_tokens()`
makes those given so far worthless, `reg.forbid(repo)` answers 403 for one repository to whoever
asks. `reg.stop()` closes the listener and all connections; `reg.start_again()` serves on the same
port.
"""
import base64
import hashlib
import json
import random
import select
import socket
import struct
import threading
import time
import urllib.parse

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
PIECE = 64 * 1024
REASONS = {200: "OK", 206: "Partial Content", 401: "Unauthorized", 403: "Forbidden",
           404: "Not Found", 416: "Range Not Satisfiable", 429: "Too Many Requests",
           503: "Service Unavailable"}


def digest_of(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def noise(size, seed=0):
    """Bytes that do not repeat, the same for the same seed."""
    return random.Random(seed).randbytes(size)


class Gate:
    """Where a response waits for the test."""

    def __init__(self):
        self._reached = threading.Event()
        self._open = threading.Event()

    def reached(self, timeout=10):
        return self._reached.wait(timeout)

    def open(self):
        self._open.set()

    def stand(self):
        self._reached.set()
        self._open.wait()


class Seen:
    """A request as it came; `sent` is how much of its body the kernel has taken so far."""

    def __init__(self, method, target, headers, body):
        self.method = method
        self.target = target
        self.path, _, self.query = target.partition("?")
        self.headers = headers
        self.body = body
        self.sent = 0
        self.connection = None
        self.ended = threading.Event()

    def fits(self, method, part):
        return method in (None, self.method) and part in self.target

    def __repr__(self):
        return f"{self.method} {self.target} {self.headers.get('range', '')}"


class Bearer:
    """Tokens; `forms` is how the challenge is written: quoted, unquoted, several, lines, lower."""

    def __init__(self, realm=None, expires_in=300, forms="quoted", identity=None, user=None,
                 password=None, service="registry.test"):
        self.realm = realm
        self.expires_in = expires_in
        self.forms = forms
        self.identity = identity
        self.user = user
        self.password = password
        self.service = service

    def challenge(self, url, scope):
        realm = self.realm or url + "/token"
        quoted = f'realm="{realm}",service="{self.service}"'
        quoted += f',scope="{scope}"' if scope else ""
        if self.forms == "unquoted":
            return [("WWW-Authenticate", f"Bearer {quoted.replace(chr(34), '')}")]
        if self.forms == "several":
            return [("WWW-Authenticate", f'Negotiate, Basic realm="a, b=c", Bearer {quoted}')]
        if self.forms == "lines":
            return [("WWW-Authenticate", 'Basic realm="x"'),
                    ("WWW-Authenticate", f"Bearer {quoted}")]
        if self.forms == "lower":
            return [("www-authenticate", f"bearer {quoted.replace(',', ' , ')}")]
        assert self.forms == "quoted"
        return [("WWW-Authenticate", f"Bearer {quoted}")]


class Basic:
    """A name and a password with each request."""

    def __init__(self, user, password):
        self.value = "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


class Rule:
    """See the top of the file."""

    def __init__(self, method, part):
        self.method = method
        self.part = part
        self.left = 1
        self.skipping = 0
        self.called = 0
        self.answer = None
        self.content = None
        self.wrong_at = []
        self.said_length = None
        self.chunk = 0
        self.range_ignored = False
        self.shift = 0
        self.total = None
        self.extra = []
        self.dropped = []
        self.closing = False
        self.at_once = None
        self.head_gate = None
        self.stops = []
        self.speed = None

    def times(self, n):
        self.left = n
        return self

    def always(self):
        self.left = float("inf")
        return self

    def skip(self, n):
        self.skipping = n
        return self

    def status(self, status, headers=None, body=b""):
        self.answer = (status, dict(headers or {}), body)
        return self

    def redirect(self, url, status=307):
        return self.status(status, {"Location": url})

    def body(self, content):
        self.content = content
        return self

    def corrupt(self, offset):
        self.wrong_at.append(offset)
        return self

    def length(self, n):
        self.said_length = n
        return self

    def chunked(self, size=16384):
        self.chunk = size
        return self

    def ignore_range(self):
        self.range_ignored = True
        return self

    def wrong_range(self, shift=1):
        self.shift = shift
        return self

    def wrong_total(self, n):
        self.total = n
        return self

    def header(self, name, value):
        self.extra.append((name, value))
        return self

    def without(self, name):
        self.dropped.append(name.lower())
        return self

    def close(self):
        self.closing = True
        return self

    def reset(self):
        self.at_once = "reset"
        return self

    def hang_up(self):
        self.at_once = "drop"
        return self

    def drop_after(self, n):
        self.stops.append((n, "drop"))
        return self

    def reset_after(self, n):
        self.stops.append((n, "reset"))
        return self

    def rate(self, bytes_per_second):
        self.speed = bytes_per_second
        return self

    def hold_headers(self):
        self.head_gate = Gate()
        return self.head_gate

    def hold_after(self, n):
        gate = Gate()
        self.stops.append((n, gate))
        return gate

    def gates(self):
        found = [what for _, what in self.stops if isinstance(what, Gate)]
        return found + ([self.head_gate] if self.head_gate else [])

    def alter(self, content):
        """The bytes that are sent instead of `content`."""
        content = content if self.content is None else self.content
        if self.wrong_at:
            content = bytearray(content)
            for offset in self.wrong_at:
                content[offset] ^= 0x55
            content = bytes(content)
        return content


class Image:
    """What add_image() made."""

    def __init__(self, digest, body, config, layers):
        self.digest, self.body, self.config, self.layers = digest, body, config, layers


class Hung(Exception):
    """The connection is to be closed now: by FIN, or by RST where `reset` is said."""


class Answer:
    """Status, headers and bytes before a rule spoils them."""

    def __init__(self, status, headers=(), body=b"", ranged=False):
        self.status, self.headers, self.body, self.ranged = status, list(headers), body, ranged


class Registry:
    """See the top of the file."""

    def __init__(self, tls=None, host="127.0.0.1"):
        self.tls, self.host, self.port = tls, host, 0
        self.blobs, self.manifests, self.tags, self.files = {}, {}, {}, {}
        self.referrers, self.forbidden = {}, set()
        self.auth = None
        self.tokens = 0
        self.requests = []
        self._valid = {}
        self._rules = []
        self._changed = threading.Condition()
        self._connections = set()
        self._listener = None
        self.start_again()
        at = f"[{host}]" if ":" in host else host
        self.url = f"{'https' if tls else 'http'}://{at}:{self.port}"

    # --- what it holds -------------------------------------------------------------------------

    def add_blob(self, repo, data):
        digest = digest_of(data)
        self.blobs[repo, digest] = data
        return digest

    def add_manifest(self, repo, tag, body, media_type=MANIFEST):
        digest = digest_of(body)
        self.manifests[repo, digest] = (body, media_type)
        if tag:
            self.tags[repo, tag] = digest
        return digest

    def add_image(self, repo, tag, layers):
        config = json.dumps({"architecture": "amd64", "os": "linux",
                             "layers": [digest_of(x) for x in layers]}).encode()
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST,
                    "config": {"mediaType": CONFIG, "digest": self.add_blob(repo, config),
                               "size": len(config)},
                    "layers": [{"mediaType": LAYER, "digest": self.add_blob(repo, x),
                                "size": len(x)} for x in layers]}
        body = json.dumps(manifest).encode()
        return Image(self.add_manifest(repo, tag, body), body, manifest["config"]["digest"],
                     [x["digest"] for x in manifest["layers"]])

    def add_file(self, target, data):
        self.files[target] = data
        return self.url + target

    def add_referrer(self, repo, subject, descriptor):
        self.referrers.setdefault((repo, subject), []).append(descriptor)

    def move_tag(self, repo, tag, digest):
        self.tags[repo, tag] = digest

    def forget(self, repo, reference):
        for held in (self.blobs, self.manifests, self.tags):
            held.pop((repo, reference), None)

    def forbid(self, repo):
        self.forbidden.add(repo)

    def revoke_tokens(self):
        with self._changed:
            self._valid.clear()

    # --- the script, and what was seen ---------------------------------------------------------

    def on(self, method, part):
        rule = Rule(method, part)
        with self._changed:
            self._rules.append(rule)
        return rule

    def clear_rules(self):
        """Forgets all rules; what they hold goes on."""
        with self._changed:
            rules, self._rules = self._rules, []
        for rule in rules:
            for gate in rule.gates():
                gate.open()

    def seen(self, method, part):
        with self._changed:
            return [x for x in self.requests if x.fits(method, part)]

    def hits(self, method, part):
        return len(self.seen(method, part))

    def wait_hits(self, method, part, n, timeout=10):
        """Waits until at least n such requests have come; False if they do not."""
        def enough():
            return sum(x.fits(method, part) for x in self.requests) >= n
        with self._changed:
            return self._changed.wait_for(enough, timeout)

    def wait_sent(self, seen, n, timeout=10):
        """Waits until n bytes of that response's body have been taken by the kernel."""
        with self._changed:
            return self._changed.wait_for(lambda: seen.sent >= n, timeout)

    def wait_gone(self, seen, timeout=10):
        """Waits until who sent that request, whose answer is held, has closed the connection."""
        readable, _, _ = select.select([seen.connection], [], [], timeout)
        try:
            return bool(readable) and not seen.connection.recv(1, socket.MSG_PEEK)
        except ConnectionResetError:
            return True

    # --- serving -------------------------------------------------------------------------------

    def start_again(self):
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PIECE)
        listener.bind((self.host, self.port))
        listener.listen(256)
        self.port = listener.getsockname()[1]
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def stop(self):
        """Nobody answers at the port any more; responses under way break."""
        listener, self._listener = self._listener, None
        if listener is None:
            return
        shut(listener)
        with self._changed:
            connections = list(self._connections)
            gates = [gate for rule in self._rules for gate in rule.gates()]
        for connection in connections:
            shut(connection)
        for gate in gates:
            gate.open()

    def _accept(self, listener):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self._changed:
                self._connections.add(connection)
            if self._listener is not listener:
                shut(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, raw):
        connection = raw
        try:
            if self.tls:
                connection = self.tls.wrap_socket(raw, server_side=True)
                with self._changed:
                    self._connections.add(connection)
            with connection.makefile("rb") as stream:
                self._converse(connection, stream)
        except (OSError, ValueError):
            pass
        except Hung as hung:
            if "reset" in hung.args:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                      struct.pack("ii", 1, 0))
                connection.close()
        finally:
            with self._changed:
                self._connections -= {raw, connection}
            shut(connection)

    def _converse(self, connection, stream):
        while (seen := read_request(stream)) is not None:
            seen.connection = connection
            try:
                if not self._respond(connection, seen):
                    break
            finally:
                seen.ended.set()

    def _respond(self, connection, seen):
        """True where the connection can be used again."""
        with self._changed:
            rule = self._rule_for(seen)
            self.requests.append(seen)
            self._changed.notify_all()
        if rule.at_once:
            raise Hung(rule.at_once)
        if rule.head_gate:
            rule.head_gate.stand()
        answer = self._spoiled(rule, seen)
        return self._send(connection, seen, rule, answer)

    def _rule_for(self, seen):
        for rule in self._rules:
            if rule.left > 0 and seen.fits(rule.method, rule.part):
                if rule.skipping > 0:
                    rule.skipping -= 1
                    continue
                rule.left -= 1
                rule.called += 1
                return rule
        return Rule(None, "")

    def _spoiled(self, rule, seen):
        if rule.answer:
            status, headers, body = rule.answer
            return Answer(status, list(headers.items()) + rule.extra, body)
        answer = self._answer(seen)
        if answer.status == 200:
            answer.body = rule.alter(answer.body)
            wanted = seen.headers.get("range")
            if answer.ranged and wanted and not rule.range_ignored:
                apply_range(answer, wanted, rule)
        answer.headers += rule.extra
        answer.headers = [(k, v) for k, v in answer.headers if k.lower() not in rule.dropped]
        return answer

    def _send(self, connection, seen, rule, answer):
        headers = answer.headers
        last = rule.closing or seen.headers.get("connection", "").lower() == "close"
        length = len(answer.body) if rule.said_length is None else rule.said_length
        if rule.chunk:
            headers = headers + [("Transfer-Encoding", "chunked")]
        elif answer.status != 304:
            headers = headers + [("Content-Length", str(length))]
        if last:
            headers = headers + [("Connection", "close")]
        head = f"HTTP/1.1 {answer.status} {REASONS.get(answer.status, 'Other')}\r\n"
        head += "".join(f"{k}: {v}\r\n" for k, v in headers) + "\r\n"
        connection.sendall(head.encode("latin-1"))
        if seen.method == "HEAD":
            return not last
        self._send_body(connection, seen, rule, answer.body)
        return not last and (rule.chunk > 0 or length == len(answer.body))

    def _send_body(self, connection, seen, rule, body):
        piece = rule.chunk or PIECE
        if rule.speed:
            piece = min(piece, max(1, rule.speed // 50))
        stops = sorted(rule.stops, key=lambda stop: stop[0])
        begun = time.monotonic()
        at = 0
        while True:
            while stops and at >= stops[0][0]:
                stand(stops.pop(0)[1])
            if at >= len(body):
                break
            n = min(piece, len(body) - at, *([stops[0][0] - at] if stops else []))
            data = body[at:at + n]
            connection.sendall(b"%x\r\n%b\r\n" % (n, data) if rule.chunk else data)
            at += n
            with self._changed:
                seen.sent = at
                self._changed.notify_all()
            if rule.speed:
                threading.Event().wait(max(0, begun + at / rule.speed - time.monotonic()))
        if rule.chunk:
            connection.sendall(b"0\r\n\r\n")

    # --- answers -------------------------------------------------------------------------------

    def _answer(self, seen):
        if seen.path == "/token":
            return self._token(seen)
        if seen.target in self.files:
            return Answer(200, [("Accept-Ranges", "bytes")], self.files[seen.target], True)
        parts = seen.path.strip("/").split("/")
        if parts[0] != "v2":
            return failure(404, "NOT_FOUND")
        repo, kind, reference = "/".join(parts[1:-2]), "", ""
        if len(parts) >= 4:
            kind, reference = parts[-2:]
        refused = self._refused(seen, repo)
        if refused:
            return refused
        if len(parts) == 1:
            return Answer(200, [("Docker-Distribution-API-Version", "registry/2.0")], b"{}")
        return self._content(seen, repo, kind, reference)

    def _content(self, seen, repo, kind, reference):
        if kind == "blobs" and (repo, reference) in self.blobs:
            return Answer(200, [("Content-Type", "application/octet-stream"),
                                ("Docker-Content-Digest", reference),
                                ("Accept-Ranges", "bytes")], self.blobs[repo, reference], True)
        if kind == "manifests":
            digest = self.tags.get((repo, reference), reference)
            if (repo, digest) in self.manifests:
                body, media_type = self.manifests[repo, digest]
                return Answer(200, [("Content-Type", media_type),
                                    ("Docker-Content-Digest", digest)], body)
            return failure(404, "MANIFEST_UNKNOWN")
        if kind == "tags":
            return self._tag_list(seen, repo)
        if kind == "referrers":
            body = {"schemaVersion": 2, "mediaType": INDEX,
                    "manifests": self.referrers.get((repo, reference), [])}
            return Answer(200, [("Content-Type", INDEX)], json.dumps(body).encode())
        return failure(404, "BLOB_UNKNOWN")

    def _tag_list(self, seen, repo):
        tags = sorted(tag for name, tag in self.tags if name == repo)
        if not tags and not any(name == repo for name, _ in self.blobs):
            return failure(404, "NAME_UNKNOWN")
        query = dict(urllib.parse.parse_qsl(seen.query))
        tags = [tag for tag in tags if tag > query.get("last", "")]
        headers = [("Content-Type", "application/json")]
        n = int(query.get("n", len(tags)))
        if n < len(tags):
            tags = tags[:n]
            last = f"&last={tags[-1]}" if tags else ""
            headers.append(("Link", f'</v2/{repo}/tags/list?n={n}{last}>; rel="next"'))
        return Answer(200, headers, json.dumps({"name": repo, "tags": tags}).encode())

    def _refused(self, seen, repo):
        """None where the request may be answered."""
        given = seen.headers.get("authorization", "")
        if isinstance(self.auth, Basic) and given != self.auth.value:
            answer = failure(401, "UNAUTHORIZED")
            answer.headers.append(("WWW-Authenticate", 'Basic realm="registry"'))
            return answer
        if isinstance(self.auth, Bearer):
            scope = f"repository:{repo}:pull" if repo else ""
            with self._changed:
                until, scopes = self._valid.get(given, (0, ""))
            if time.monotonic() >= until or scope not in scopes:
                answer = failure(401, "UNAUTHORIZED")
                answer.headers += self.auth.challenge(self.url, scope)
                return answer
        return failure(403, "DENIED") if repo in self.forbidden else None

    def _token(self, seen):
        auth = self.auth
        if not isinstance(auth, Bearer):
            return failure(404, "NOT_FOUND")
        asked = seen.body.decode() if seen.method == "POST" else seen.query
        asked = urllib.parse.parse_qs(asked)
        if auth.identity and asked.get("refresh_token") != [auth.identity]:
            return failure(401, "UNAUTHORIZED")
        if auth.user and not auth.identity:
            if seen.headers.get("authorization") != Basic(auth.user, auth.password).value:
                return failure(401, "UNAUTHORIZED")
        with self._changed:
            self.tokens += 1
            token = f"token-{self.tokens}"
            life = 60 if auth.expires_in is None else auth.expires_in
            self._valid[f"Bearer {token}"] = (time.monotonic() + life,
                                              " ".join(asked.get("scope", [])))
            self._changed.notify_all()
        said = {"access_token" if seen.method == "POST" else "token": token}
        if auth.expires_in is not None:
            said["expires_in"] = auth.expires_in
        return Answer(200, [("Content-Type", "application/json")], json.dumps(said).encode())


def failure(status, code):
    body = json.dumps({"errors": [{"code": code, "message": code.lower()}]}).encode()
    return Answer(status, [("Content-Type", "application/json")], body)


def apply_range(answer, wanted, rule):
    """A single range; what is not one is ignored, as a registry may."""
    size = len(answer.body)
    unit, _, spec = wanted.partition("=")
    first, dash, last = spec.partition("-")
    if unit != "bytes" or not dash or "," in spec or not (first or last):
        return
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last), size - 1) if first and last else size - 1
    total = size if rule.total is None else rule.total
    if start >= size or end < start:
        answer.status, answer.body = 416, b""
        answer.headers.append(("Content-Range", f"bytes */{total}"))
        return
    start, end = start + rule.shift, min(end + rule.shift, size - 1)
    answer.status, answer.body = 206, answer.body[start:end + 1]
    answer.headers.append(("Content-Range", f"bytes {start}-{end}/{total}"))


def read_request(stream):
    line = stream.readline(65536)
    if not line:
        return None
    method, target, _ = line.decode("latin-1").split(" ", 2)
    headers = {}
    while (line := stream.readline(65536)) not in (b"\r\n", b"\n"):
        if not line:
            return None
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    return Seen(method, target, headers, body)


def stand(what):
    if not isinstance(what, Gate):
        raise Hung(what)
    what.stand()


def shut(connection):
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()
