"""A proxy on loopback that asks for a user and a password, and passes what is asked of any host on to one server, or says 404."""

from __future__ import annotations

import base64
import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

# With what a URL must write otherwise.
PASSWORD, WRITTEN = "gehe:im@99/", "gehe%3Aim%4099%2F"


class StandInProxy:
    """Within a `with` block. `asked`: every URL that came with the password; `seen`: command lines that held the password
    while a request was under way."""

    def __init__(self, upstream: dict[str, str]) -> None:
        self.upstream = upstream
        self.asked: list[str] = []
        self.refused: list[str] = []
        self.seen: set[str] = set()
        proxy = self
        expected = "Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                proxy.seen.update(telling_commands())
                if self.headers.get("Proxy-Authorization") != expected:
                    proxy.refused.append(self.path)
                    self.send_error(407)
                    return
                proxy.asked.append(self.path)
                parts = urlsplit(self.path)
                server = proxy.upstream.get(parts.hostname or "")
                if not server:
                    self.send_error(404)
                    return
                connection = http.client.HTTPConnection(server, timeout=30)
                headers = {name: value for name, value in self.headers.items() if not name.startswith("Proxy-")}
                connection.request(self.command, f"{parts.path}?{parts.query}".rstrip("?"), headers=headers)
                answer = connection.getresponse()
                body = answer.read()
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in ("transfer-encoding", "connection", "content-length", "date", "server"):
                        self.send_header(name, value)
                length = answer.getheader("Content-Length") if self.command == "HEAD" else str(len(body))
                self.send_header("Content-Length", length or "0")
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_HEAD = do_GET

            def log_message(self, *__: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://ops:{WRITTEN}@127.0.0.1:{self.server.server_port}"

    def __enter__(self) -> StandInProxy:
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *__: object) -> None:
        self.server.shutdown()
        self.server.server_close()


def telling_commands() -> set[str]:
    """Command lines on this computer, as every user sees them, that hold the password."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode(errors="replace").replace("\0", " ")
        except OSError:
            continue
        if PASSWORD in words or WRITTEN in words:
            found.add(words)
    return found
