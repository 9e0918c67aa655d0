#!/usr/bin/python3
"""STAND-IN for dcgm-exporter: one metric at the address that DCGM_EXPORTER_LISTEN names, as the real one takes it."""

from __future__ import annotations

import os
from http.server import BaseHTTPRequestHandler, HTTPServer

BODY = b'# TYPE DCGM_FI_DEV_GPU_TEMP gauge\nDCGM_FI_DEV_GPU_TEMP{gpu="0"} 31\n'


class Metrics(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/metrics" else 404)
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)


if __name__ == "__main__":
    host, __, port = os.environ.get("DCGM_EXPORTER_LISTEN", ":9400").rpartition(":")
    HTTPServer((host, int(port)), Metrics).serve_forever()
