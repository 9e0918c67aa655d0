"""The probe: `python3 -m tools.gpu_probe --out FILE [--engine DIR]`; docs/dev/gpu.md says what to do with its JSON."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from . import ROOT, collection

collection()
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look_system import devices
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, smi
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.holders import holders
from ansible_collections.baremetal.vllm.plugins.module_utils.host.command import run

from . import engine, record
from .steps import Steps, command

SCHEMA = 1
# Where the plan puts an engine and its caches on a host.
CACHE = "/var/cache/vllm"
KEY = "VLLM_API_KEY"


def options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python3 -m tools.gpu_probe", description="Record what a machine with a GPU shows."
    )
    parser.add_argument("--out", required=True, type=Path, help="where the JSON goes; written anew after each step")
    parser.add_argument("--engine", type=Path, help="a vLLM installation: the directory above bin/vllm and bin/python")
    parser.add_argument(
        "--model", type=Path, help="a model directory; by default a tiny one is made with the engine's Python"
    )
    parser.add_argument("--limit-s", type=float, default=600, help="seconds for everything (default 600)")
    parser.add_argument("--accelerator", choices=["cuda", "rocm", "cpu"], help="by default what is found")
    parser.add_argument("--gpus", default="0", help="indices for the model, with commas (default 0)")
    parser.add_argument("--args", type=json.loads, default={}, help='further options of vLLM: {"enforce-eager": true}')
    parser.add_argument(
        "--env", type=json.loads, default={}, help='further variables: {"VLLM_USE_FLASHINFER_SAMPLER": "0"}'
    )
    parser.add_argument(
        "--keep-env", action="append", default=[], metavar="NAME",
        help="a variable of this shell that the engine is given beside its unit's (LD_LIBRARY_PATH in some containers)",
    )  # fmt: skip
    parser.add_argument("--starts", type=int, default=2, help="the second start shows what the caches save (default 2)")
    return parser.parse_args(arguments)


class Probe:
    """The steps of one run. `told` is the document that is written."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.given = given
        self.steps = Steps(given.limit_s, self._say)
        self.facts: dict[str, Any] | None = None
        self.held: list[dict[str, Any]] = []
        self.bus: list[dict[str, Any]] = []
        self.total: int | None = None
        self.told: dict[str, Any] = {
            "schema": SCHEMA,
            "tool": "gpu_probe",
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "limit_seconds": given.limit_s,
            "machine": record.machine(),
            "steps": self.steps.done,
        }

    def run(self) -> int:
        """All steps; 0 where every step that could be tried went well, and the engine was proved, else 1.

        The document is written in any case.
        """
        scratch = Path(tempfile.mkdtemp(prefix="gpu-probe-"))
        try:
            self._all(scratch)
        finally:
            engine.end_all()
            shutil.rmtree(scratch, ignore_errors=True)
        self.told["seconds"] = round(time.monotonic() - self.steps.began, 1)
        self._write()
        # A tool that is not installed is data, as are commands that a release does not know.
        return int(not all(map(_well, self.steps.done)))

    def _all(self, scratch: Path) -> None:
        self._record()
        self._facts()
        self._checks()
        if self.given.engine is None:
            self.steps.skip("engine", "none was given (--engine)")
        else:
            self._engine(scratch)

    def _say(self, line: str) -> None:
        print(line, flush=True)
        self._write()

    def _write(self) -> None:
        """Whole or not at all: a machine may be taken away in the middle."""
        beside = self.given.out.with_name(f".{self.given.out.name}.new")
        beside.write_text(json.dumps(self.told, indent=1, ensure_ascii=False) + "\n")
        beside.replace(self.given.out)

    def _record(self) -> None:
        for name in record.COMMANDS:
            if record.COMMANDS[name][0] == "amd-smi" and self.given.accelerator not in (None, "rocm"):
                continue
            if shutil.which(record.COMMANDS[name][0]) is None:
                self.steps.skip(f"record {name}", f"{record.COMMANDS[name][0]} is not installed")
                continue
            self.steps.run(f"record {name}", partial(record.tool, name), 30)
        self.steps.run("record files", lambda seconds: record.files(), 30)

    def _facts(self) -> None:
        def look(seconds: float) -> dict[str, Any]:
            bus, __ = devices(Path("/"))
            facts = (amd if self.given.accelerator == "rocm" else smi).read(run)
            self.bus = [asdict(device) for device in bus]
            self.held = [asdict(holder) for holder in holders(facts)]
            self.facts = asdict(facts)
            return record.anonymous({"facts": self.facts, "bus": self.bus, "holders": self.held})

        self.steps.run("gpu_facts", look, 150)

    @property
    def accelerator(self) -> str:
        return self.given.accelerator or ("cuda" if self.facts and self.facts["gpus"] else "cpu")

    def _checks(self) -> None:
        if not self.facts or not self.facts["gpus"]:
            self.steps.skip("checks", f"no GPU is listed: {(self.facts or {}).get('error', 'nothing was found')}")
            return
        self.steps.run("checks", lambda seconds: self._planned("checks", seconds), 60)

    def _planned(self, wanted: str, seconds: float, **more: Any) -> dict[str, Any]:
        """Ask planned.py in a Python that has what it needs: this one, else the engine's."""
        request: dict[str, Any] = {
            "wanted": wanted,
            "accelerator": self.accelerator,
            "facts": self.facts,
            "bus": self.bus,
        }
        request.update(holders=self.held, units={}, release=self._release(), total=self.total, **more)
        pythons = [sys.executable, *([str(self.given.engine / "bin/python")] if self.given.engine else [])]
        wrong = ""
        for python in pythons:
            answer = command([python, "-m", "tools.gpu_probe.planned"], seconds, stdin=json.dumps(request), cwd=ROOT)
            if answer["returncode"] == 0:
                read: dict[str, Any] = json.loads(answer["stdout"])
                return read
            wrong = f"{wrong} {python}: {answer['stderr'].strip()[-600:]}".strip()
        raise RuntimeError(wrong)

    def _release(self) -> str:
        packages = self.told.get("engine", {}).get("packages", {})
        return str(packages.get("vllm", "")).partition("+")[0]

    def _engine(self, scratch: Path) -> None:
        home = self.given.engine.resolve()
        cache = scratch / "cache"
        cache.mkdir()
        kept = {name: os.environ[name] for name in self.given.keep_env if name in os.environ}
        plain = {"PATH": os.environ.get("PATH", ""), "HOME": str(scratch), **kept}
        seen = self.steps.run("engine", lambda seconds: engine.look(home / "bin/python", seconds, plain), 180)
        if seen is None:
            return
        self.told["engine"] = seen
        wanted = [int(index) for index in self.given.gpus.split(",")]
        gpus = wanted if self.accelerator != "cpu" else []
        self.total = seen["gpus"][0]["total"] if seen["gpus"] else None
        model = self._model(scratch, home, plain)
        if model is None:
            return
        port, key = engine.free_port(), secrets.token_hex(16)
        args = {**({"tensor-parallel-size": len(gpus)} if len(gpus) > 1 else {}), **self.given.args}
        unit = self.steps.run(
            "unit",
            lambda seconds: self._planned(
                "unit", seconds, model=str(model), port=port, gpus=gpus, args=args, env=self.given.env
            ),
            60,
        )
        if unit is None or "command" not in unit:
            self.steps.skip("start", "the plan refuses the model" if unit else "there is no unit")
            return
        moves = {f"/opt/vllm/{unit['service']['release']}": str(home), CACHE: str(cache)}
        words = engine.placed(unit, moves)
        # Nothing closes the other GPUs to this process, so that CUDA counts them too.
        visible = {
            name: self.given.gpus
            for name in ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES")
            if name in words["environment"]
        }
        environment = {**words["environment"], **visible, **kept, KEY: key}
        for number in range(1, self.given.starts + 1):
            start = engine.Start(words["command"], environment, scratch / f"start-{number}.log", port, key)
            result = self.steps.run(f"start {number}", partial(self._start, start, unit, cache), 420)
            if not result or not result["ready"]:
                break

    def _start(self, start: engine.Start, unit: dict[str, Any], cache: Path, seconds: float) -> dict[str, Any]:
        before = engine.caches(cache)

        def up() -> dict[str, Any]:
            facts = smi.read(run)
            if not facts.gpus:
                return {}
            shown = {"facts": asdict(facts), "holders": [asdict(holder) for holder in holders(facts)]}
            return {**record.anonymous(shown), "xml": record.tool("nvidia-smi-xml", 30)["stdout"]}

        seen = engine.serve(start, unit["service"], seconds, up)
        seen["caches"] = {"before": before, "after": engine.caches(cache)}
        seen["against_plan"] = compared(seen["figures"], unit["estimate"])
        if not seen["ready"]:
            self._say(f"           the engine did not answer: {seen['cause'] or 'see its log in the recording'}")
        return seen

    def _model(self, scratch: Path, home: Path, plain: dict[str, str]) -> Path | None:
        if self.given.model is not None:
            return Path(self.given.model).resolve()
        target = scratch / "tiny"
        offline = {**plain, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

        def make(seconds: float) -> dict[str, Any]:
            script = Path(__file__).with_name("tiny.py")
            answer = command([str(home / "bin/python"), str(script), str(target)], seconds, env=offline)
            if answer["returncode"] != 0:
                raise RuntimeError(answer["stderr"].strip()[-1500:])
            return {"bytes": sum(path.stat().st_size for path in target.iterdir())}

        return target if self.steps.run("model", make, 180) else None


def _well(step: dict[str, Any]) -> bool:
    if step["name"].startswith("start ") and step["status"] == "ok":
        return bool(step["result"].get("proof", {}).get("passed"))
    return step["status"] in ("ok", "skipped")


def compared(figures: dict[str, list[float]], estimate: dict[str, Any] | None) -> dict[str, Any]:
    """What was measured beside what the plan works out, in bytes and tokens; None for what either does not say."""
    planned = estimate or {}
    pairs = {
        "weights": ("weights_bytes", "weights"),
        "available_kv": ("available_kv_bytes", "left"),
        "kv_tokens": ("kv_tokens", "tokens"),
    }
    return {
        name: {"measured": figures[seen][-1] if figures.get(seen) else None, "planned": planned.get(key)}
        for name, (seen, key) in pairs.items()
    }


if __name__ == "__main__":
    # timeout(1) and a machine that is taken away end it so; the engine goes with it.
    signal.signal(signal.SIGTERM, lambda *__: sys.exit(143))
    raise SystemExit(Probe(options(None)).run())
