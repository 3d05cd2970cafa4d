"""A proxy that knows CONNECT, and what it was asked."""
import socket
import threading


class ConnectProxy:
    """Tunnels to 127.0.0.1 whatever name is asked for; `asked` has the heads."""

    def __init__(self, target_port, status=200):
        self.asked = []
        self.target_port = target_port
        self.status = status
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._tunnel, args=(client,), daemon=True).start()

    def _tunnel(self, client):
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head.decode())
        client.sendall(b"HTTP/1.1 %d Whatever\r\n\r\n" % self.status)
        if self.status != 200:
            client.close()
            return
        server = socket.create_connection(("127.0.0.1", self.target_port))
        threading.Thread(target=pipe, args=(client, server), daemon=True).start()
        pipe(server, client)

    def stop(self):
        self.listener.close()


def pipe(source, sink):
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        pass
