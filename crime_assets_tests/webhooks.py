"""A webhook for tests: a real HTTP server that keeps what is posted to it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

SECRET = "T0KEN-that-nobody-may-read"


class Webhook:
    """The texts that were posted, and the address, which ends in a secret."""

    def __init__(self, port: int) -> None:
        self.texts: list[str] = []
        self.url = f"http://127.0.0.1:{port}/services/{SECRET}"


@contextmanager
def webhook(status: int = 200) -> Iterator[Webhook]:
    """A webhook on a free port of the loopback that answers with ``status``."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.texts.append(json.loads(body)["text"])
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        told = Webhook(server.server_port)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield told
        server.shutdown()
