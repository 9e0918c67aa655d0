"""Judge the collection's artifact with the tools of others: ``gates.py baremetal-vllm-0.1.0.tar.gz`` (`make gates`).

Galaxy's importer, which decides whether Galaxy takes it; antsibull-docs, which lints the documentation of plugins and roles; and
ansible-builder, which must find what an execution environment needs. All three have to be on PATH. Exit status 1 if one refuses.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import yaml

WORK = Path(__file__).resolve().parents[1] / "build" / "gates"
# Without these an execution environment cannot run playbooks/wheelhouse.yml.
NEEDED = {"pip", "uv"}


def unpacked(artifact: Path) -> Path:
    """The artifact's content as an installed collection below build/gates; the collection's directory."""
    shutil.rmtree(WORK, ignore_errors=True)
    collection = WORK / "ansible_collections" / "baremetal" / "vllm"
    collection.mkdir(parents=True)
    with tarfile.open(artifact) as archive:
        archive.extractall(collection, filter="data")
    return collection


def importer(artifact: Path) -> list[str]:
    """What Galaxy's importer has against the artifact; nothing if it takes it."""
    settings = WORK / "galaxy-importer.cfg"
    # `make lint` runs ansible-lint with the strictest profile already, and takes minutes.
    settings.write_text("[galaxy-importer]\nrun_ansible_lint = False\n", encoding="utf-8")
    done = _run(sys.executable, "-m", "galaxy_importer.main", artifact, GALAXY_IMPORTER_CONFIG=str(settings))
    if done.returncode == 0:
        return []
    return ["galaxy-importer refuses the artifact:", *done.stdout.splitlines()[-20:], *done.stderr.splitlines()[-20:]]


def documentation(collection: Path) -> list[str]:
    """What antsibull-docs has against the documentation of plugins and roles."""
    done = _run("antsibull-docs", "lint-collection-docs", "--plugin-docs", collection)
    return [] if done.returncode == 0 else [*done.stdout.splitlines(), *done.stderr.splitlines()]


def environment() -> list[str]:
    """What ansible-builder does not find of the needs of an execution environment."""
    done = _run("ansible-builder", "introspect", WORK)
    if done.returncode != 0:
        return [f"ansible-builder introspect: {line}" for line in (done.stdout + done.stderr).splitlines()[-10:]]
    # Lines such as `uv>=0.8  # from collection baremetal.vllm`; what every environment has (PyYAML) is left out.
    found = {re.match(r"[\w-]+", line)[0] for line in yaml.safe_load(done.stdout).get("python", [])}  # type: ignore[index]
    lacking = sorted(NEEDED - found)
    return [f"ansible-builder finds no {name} for Python in meta/execution-environment.yml" for name in lacking]


def _run(*command: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    words, variables = list(map(str, command)), {**os.environ, **environment}
    return subprocess.run(words, cwd=WORK, env=variables, capture_output=True, text=True, check=False)


def main() -> int:
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    artifact = Path(sys.argv[1]).resolve()
    problems = [*documentation(unpacked(artifact)), *environment(), *importer(artifact)]
    print("\n".join(problems) or f"{artifact.name}: galaxy-importer, antsibull-docs and ansible-builder take it")
    return 1 if problems else 0


if __name__ == "__main__":
    raise SystemExit(main())
