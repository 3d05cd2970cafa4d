"""That the load client refuses what is wrong: asked before anything is measured with it."""
import socket
import threading

BODY = b"0123456789" * 1000
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 10000\r\n\r\n"

# What a server answers, and the failure that the client must report of it; None: it is right.
ANSWERS = [
    (OK + BODY, None),
    (OK.lower().replace(b"http/", b"HTTP/") + BODY, None),
    (OK.replace(b"200 OK", b"404 Not Found") + BODY, "status"),
    (OK.replace(b"200 OK", b"206 Partial Content") + BODY, "status"),
    (OK.replace(b"10000", b"9999") + BODY[:-1], "length"),
    (OK.replace(b"Content-Length: 10000", b"Transfer-Encoding: chunked") + b"0\r\n\r\n", "length"),
    (OK + BODY[:-1], "short"),
    (OK + BODY[:5000] + b"x" + BODY[5001:], "content"),
    (OK + BODY + b"x", "http"),
    (b"SSH-2.0\r\n\r\n", "http"),
    (b"", "short"),
]


def serve(listener, answer):
    s, _ = listener.accept()
    with s:
        asked = b""
        while not asked.endswith(b"\r\n\r\n"):
            asked += s.recv(4096)
        s.sendall(answer)
        s.shutdown(socket.SHUT_WR)
        while s.recv(4096):
            pass


def ask(load, answer, file):
    """One request to a server that gives this answer once, and then is gone."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        server = threading.Thread(target=serve, args=(listener, answer), daemon=True)
        server.start()
        result = load.try_measure(listener.getsockname()[1], path="/x", length=len(BODY),
                                  expect=file, requests=1, timeout=5)
        server.join(5)
        return result


def check(load, file):
    """RuntimeError where the client takes a wrong answer for a right one, or the other way."""
    with open(file, "wb") as f:
        f.write(BODY)
    for answer, failure in ANSWERS:
        result = ask(load, answer, file)
        right = result["ok"] == 1 and not result["failures"] if failure is None else \
            result["ok"] == 0 and result["failures"] == {failure: 1}
        if not right:
            raise RuntimeError(f"load says {result} of an answer that is {failure or 'right'}")
