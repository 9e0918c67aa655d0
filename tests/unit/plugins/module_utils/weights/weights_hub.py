"""A small model hub on loopback, shaped like the real one, with faults: what `huggingface_hub` asks for, and no more.

Large files are answered with a redirect to a second route, as the real hub does to its content network.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".gguf", ".model")


class Hub:
    """`repos[name][commit][path] = bytes`; the other attributes are faults and records."""

    def __init__(self) -> None:
        self.repos: dict[str, dict[str, dict[str, bytes]]] = {}
        self.gated: set[str] = set()
        # What the hub says of a model beside its commit and files: pipeline_tag, config, gated, …
        self.about: dict[str, dict[str, Any]] = {}
        self.token = ""
        # Close the connection after so many bytes of a file; each entry is used once.
        self.cuts: dict[str, list[int]] = defaultdict(list)
        # Send other bytes than those the hub states; how many times (-1: always).
        self.wrong: dict[str, int] = defaultdict(int)
        self.status = 0
        self.rate = 0.0
        # Records: bytes sent of each file, range headers, and whether requests carried a token.
        self.sent: dict[str, int] = defaultdict(int)
        self.ranges: list[str] = []
        self.tokens: set[str] = set()
        self.tokens_astray: set[str] = set()
        self.lock = threading.Lock()
        hub = self

        class Handler(_Handler):
            world = hub

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_address[1]}"
        # Another host name for the same server: the library must not send the token there.
        self.network = f"http://localhost:{self.server.server_address[1]}"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self) -> Hub:
        self.thread.start()
        return self

    def __exit__(self, *__: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    def add(self, repo: str, commit: str, files: dict[str, bytes]) -> None:
        self.repos.setdefault(repo, {})[commit] = files


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    world: Hub

    def log_message(self, *__: Any) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _json(self, status: int, value: Any, headers: dict[str, str] | None = None, body: bool = True) -> None:
        data = json.dumps(value).encode()
        self.send_response(status)
        for name, text in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.wfile.write(data)

    def _refuse(self, status: int, code: str, body: bool) -> None:
        self._json(status, {"error": code}, {"X-Error-Code": code, "X-Error-Message": code}, body)

    def _answer(self, body: bool) -> None:
        hub = self.world
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        parts = unquote(urlsplit(self.path).path).strip("/").split("/")
        if parts[0] == "cdn":
            with hub.lock:
                hub.tokens_astray |= {token} - {""}
            self._send_file("/".join(parts[2:]), self._by_oid(parts[1]), body, {})
            return
        with hub.lock:
            hub.tokens.add(token)
        if hub.status:
            self._refuse(hub.status, "", body)
            return
        is_api = parts[:2] == ["api", "models"]
        repo = "/".join(parts[2:4] if is_api else parts[:2])
        if hub.token and token != hub.token:
            self._refuse(401, "GatedRepo" if repo in hub.gated else "RepoNotFound", body)
            return
        if repo not in hub.repos:
            self._refuse(404 if token else 401, "RepoNotFound", body)
            return
        # The bare address of a model stands for the newest commit of its main branch.
        commit = (parts[5] if parts[5:] else [*hub.repos[repo]][-1]) if is_api else parts[3]
        commit = [*hub.repos[repo]][-1] if commit == "main" else commit
        if commit not in hub.repos[repo]:
            self._refuse(404, "RevisionNotFound", body)
            return
        files = hub.repos[repo][commit]
        if is_api and parts[4:5] in ([], ["revision"]):
            siblings = [{"rfilename": path, "size": len(data)} for path, data in files.items()]
            self._json(200, {"id": repo, "sha": commit, "siblings": siblings, **hub.about.get(repo, {})})
        elif is_api:
            self._json(200, [_entry(path, data) for path, data in files.items()])
        else:
            self._resolve(commit, "/".join(parts[4:]), files, body)

    def _resolve(self, commit: str, path: str, files: dict[str, bytes], body: bool) -> None:
        if path not in files:
            self._refuse(404, "EntryNotFound", body)
            return
        entry = _entry(path, files[path])
        headers = {"X-Repo-Commit": commit}
        if "lfs" in entry:
            oid = entry["lfs"]["oid"]
            headers |= {"X-Linked-Size": str(entry["size"]), "X-Linked-ETag": f'"{oid}"', "Content-Length": "0"}
            self.send_response(302)
            for name, text in {**headers, "Location": f"{self.world.network}/cdn/{oid}/{path}"}.items():
                self.send_header(name, text)
            self.end_headers()
            return
        self._send_file(path, files[path], body, {**headers, "ETag": f'"{entry["oid"]}"'})

    def _by_oid(self, oid: str) -> bytes:
        for commits in self.world.repos.values():
            for files in commits.values():
                for data in files.values():
                    if hashlib.sha256(data).hexdigest() == oid:
                        return data
        raise KeyError(oid)

    def _send_file(self, path: str, data: bytes, body: bool, headers: dict[str, str]) -> None:
        hub = self.world
        start, size = 0, len(data)
        wanted = self.headers.get("Range", "")
        if wanted.startswith("bytes="):
            start = int(wanted.removeprefix("bytes=").split("-")[0])
        with hub.lock:
            if wanted:
                hub.ranges.append(f"{path} {start}")
            cut = hub.cuts[path].pop(0) if body and hub.cuts[path] else size
            if body and hub.wrong[path]:
                hub.wrong[path] -= 1
                data = bytes(byte ^ 1 for byte in data)
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        for name, text in {**headers, "Content-Length": str(size - start), "Accept-Ranges": "bytes"}.items():
            self.send_header(name, text)
        self.end_headers()
        if not body:
            return
        at = start
        while at < min(size, start + cut):
            piece = data[at : min(at + (64 << 10), start + cut)]
            try:
                self.wfile.write(piece)
            except OSError:
                return
            at += len(piece)
            with hub.lock:
                hub.sent[path] += len(piece)
            if hub.rate:
                time.sleep(len(piece) / hub.rate)
        if at < size:
            self.close_connection = True
            self.connection.close()


def _entry(path: str, data: bytes) -> dict[str, Any]:
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": path, "size": len(data), "oid": blob}
    if path.endswith(LARGE):
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
