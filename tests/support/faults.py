"""A proxy in front of an S3 server that breaks what it is told to, and counts what is asked."""

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Says what becomes of the Nth request (method, path): "pass", "reset" the connection, or "slow down" (503).
Fate = Callable[[int, str, str], str]

SLOW_DOWN = (
    b"<?xml version='1.0' encoding='UTF-8'?><Error><Code>SlowDown</Code><Message>Please reduce your request"
    b" rate.</Message></Error>"
)


@contextmanager
def faulty(endpoint: str, fate: Fate) -> Iterator[tuple[str, list[str]]]:
    """The address of the proxy, and "METHOD path: fate" of each request as they come."""
    target, seen, lock = urlsplit(endpoint), list[str](), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            body = self.rfile.read(length)
            with lock:
                becomes = fate(len(seen), self.command, self.path)
                seen.append(f"{self.command} {self.path}: {becomes}")
            if becomes == "reset":
                self.close_connection = True
                self.connection.close()
            elif becomes == "slow down":
                self.reply(503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            else:
                assert target.hostname is not None
                onward = http.client.HTTPConnection(target.hostname, target.port, timeout=60)
                # The signature covers the address that the client knows, so all headers stay as they are.
                onward.request(self.command, self.path, body, dict(self.headers))
                answer = onward.getresponse()
                self.reply(answer.status, dict(answer.getheaders()), answer.read())
                onward.close()

        do_GET = do_PUT = do_HEAD = do_POST = do_DELETE = answer

        def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                    self.send_header(name, value)
            size = headers.get("Content-Length") if self.command == "HEAD" else len(body)
            self.send_header("Content-Length", str(size or 0))
            self.end_headers()
            self.wfile.write(body if self.command != "HEAD" else b"")

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", seen
    finally:
        server.shutdown()
        server.server_close()
