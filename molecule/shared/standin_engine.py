#!/usr/bin/python3
"""A STAND-IN for `vllm serve`, for what needs no model: argv, unit states, many endpoints on one host.

Started by systemd like the engine, from the same command line. It answers like vLLM 0.32.0 (standin_vllm.py beside it,
the one that the unit tests use) after `--stand-in-start` seconds, or dies as `--stand-in-die CAUSE` says.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import standin_vllm


def option(name: str, default: str = "") -> str:
    return sys.argv[sys.argv.index(name) + 1] if name in sys.argv else default


def main() -> None:
    if "--not-an-option" in sys.argv:
        sys.exit("vllm: error: unrecognized arguments: --not-an-option")
    time.sleep(float(option("--stand-in-start", "0.5")))
    if option("--stand-in-die"):
        print(f"(EngineCore pid=1) {option('--stand-in-die')}", file=sys.stderr)
        print("RuntimeError: Engine core initialization failed. See root cause above.", file=sys.stderr)
        sys.exit(1)
    standin_vllm.MODEL = option("--served-model-name")
    standin = standin_vllm.StandInVllm(option("--stand-in-kind", "chat"), key=os.environ.get("VLLM_API_KEY"))
    standin.server.server_close()
    standin.server = type(standin.server)((option("--host"), int(option("--port"))), standin.server.RequestHandlerClass)
    print("INFO: Application startup complete.", file=sys.stderr)
    standin.server.serve_forever()


if __name__ == "__main__":
    main()
