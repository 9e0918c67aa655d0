"""The project as somebody installs it: an empty virtual environment, any directory, a clean artifact."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import venv
from pathlib import Path

import tomllib
import yaml

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent
GALAXY = yaml.safe_load((ROOT / "galaxy.yml").read_text())
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
OF_THE_WORKSHOP = ("docs/dev/", "inventories/lab/", "tools/", "changelogs/")


def run(*command: str | Path, cwd: Path = ROOT, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_pip_install_brings_ansible_and_playbooks_that_work_from_any_directory(tmp_path: Path) -> None:
    venv.create(tmp_path / "env")
    copy = tmp_path / "checkout"
    shutil.copytree(
        ROOT,
        copy,
        ignore=shutil.ignore_patterns(".git", ".venv*", ".ansible", "__pycache__", ".*_cache", "build", "dist"),
    )
    binaries = tmp_path / "env" / "bin"
    # Nothing is compiled that no run asks for.
    pip = (TOOLS / "python", "-m", "pip", "--python", binaries / "python")
    run(*pip, "install", "--quiet", "--no-compile", copy)
    shutil.rmtree(copy)
    playbooks = sorted(f"baremetal.vllm.{path.stem}" for path in (ROOT / "playbooks").glob("*.yml"))
    told = run(binaries / "ansible-playbook", *playbooks, "--syntax-check", cwd=tmp_path)
    assert told.count("playbook: ") == len(playbooks)
    # One version, one list of what is shipped.
    assert f"Version: {GALAXY['version']}\n" in run(*pip, "show", "baremetal-vllm")
    (installed,) = (tmp_path / "env").glob("lib/*/site-packages/ansible_collections/baremetal/vllm")
    shipped = {path.relative_to(installed).as_posix() for path in installed.rglob("*") if path.is_file()}
    assert not [path for path in shipped if path.startswith(OF_THE_WORKSHOP)]
    assert {"galaxy.yml", "playbooks/site.yml", "roles/gateway/README.md", "data/surveys/rollout.json"} <= shipped
    planned = run(
        binaries / "ansible-playbook", "baremetal.vllm.plan", "-i", ROOT / "inventories" / "example", cwd=Path("/")
    )
    assert "gpu3.example.com  bce-reranker-base_v1" in planned
    assert "model_service_services" in run(
        binaries / "ansible-doc", "-t", "role", "baremetal.vllm.model_service", cwd=tmp_path
    )


def test_the_artifact_holds_what_users_need_and_works_from_any_directory(tmp_path: Path) -> None:
    run(TOOLS / "ansible-galaxy", "collection", "build", "--output-path", tmp_path)
    artifact = next(tmp_path.glob("baremetal-vllm-*.tar.gz"))
    with tarfile.open(artifact) as held:
        names = {member.name for member in held if member.isfile()}
    tops = {name.partition("/")[0] for name in names}
    assert tops == {
        "CHANGELOG.md", "FILES.json", "LICENSE", "MANIFEST.json", "README.md", "data", "docs", "inventories", "meta", "playbooks",
        "plugins", "roles", "site.yml", "templates",
    }  # fmt: skip
    assert not [name for name in names if "__pycache__" in name or name.endswith((".pyc", ".log", "report.json"))]
    # As from Galaxy: beside an ansible-core that has never seen this checkout.
    alone = {"ANSIBLE_COLLECTIONS_PATH": str(tmp_path / "home"), "ANSIBLE_COLLECTIONS_SCAN_SYS_PATH": "false"}
    run(TOOLS / "ansible-galaxy", "collection", "install", "--offline", artifact, cwd=Path("/"), **alone)
    inventory = tmp_path / "home" / "ansible_collections" / "baremetal" / "vllm" / "inventories" / "one-host"
    planned = run(TOOLS / "ansible-playbook", "baremetal.vllm.plan", "-i", inventory, cwd=Path("/"), **alone)
    assert "gpu1.example.com  qwen2.5-7b-instruct" in planned
    assert not [name for name in names if name.startswith(OF_THE_WORKSHOP)]
    assert {"meta/execution-environment.yml", "meta/ee-requirements.txt", "meta/ee-bindep.txt"} <= names


def test_an_execution_environment_brings_what_the_distribution_depends_on() -> None:
    """ansible-core is the environment's own; the rest is what `pip install .` would bring."""
    lines = (ROOT / "meta" / "ee-requirements.txt").read_text().splitlines()
    wanted = [name for name in PROJECT["project"]["dependencies"] if not name.startswith("ansible-core")]
    assert sorted(line for line in lines if not line.startswith("#")) == sorted(wanted)


def test_the_page_of_models_is_what_the_example_plans(tmp_path: Path) -> None:
    page = tmp_path / "models.md"
    inventory = ROOT / "inventories" / "example"
    run(TOOLS / "ansible-playbook", "playbooks/plan.yml", "-i", inventory, "-e", f"vllm_plan_document={page}")
    assert page.read_text() == (ROOT / "docs" / "models.md").read_text(), "run `make docs`"
