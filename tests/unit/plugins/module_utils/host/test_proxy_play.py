"""Everything that fetches goes through the one proxy, and its password is on no command line, in no output and no file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from standin_proxy import PASSWORD, WRITTEN, StandInProxy
from weights_hub import Hub

# Its one play is not run by several workers.
pytestmark = pytest.mark.xdist_group("proxy_play")

ROOT = Path(__file__).resolve().parents[5]
TOOLS = Path(sys.executable).parent
COMMIT = "0123456789abcdef0123456789abcdef01234567"
# No such names: what reaches these hosts goes through the proxy, or fails.
HUB, MIRROR, INDEX = "hub.invalid", "mirror.invalid", "index.invalid"

PLAY = """
- hosts: localhost
  gather_facts: false
  module_defaults:
    baremetal.vllm.system_packages: &proxy {proxy: "{{ vllm_proxy }}", no_proxy: "{{ vllm_no_proxy }}"}
    baremetal.vllm.driver: *proxy
    baremetal.vllm.hub_revision: *proxy
    baremetal.vllm.model_weights: *proxy
    baremetal.vllm.wheelhouse: *proxy
  tasks:
    - baremetal.vllm.system_packages: {name: [g++, libnuma1]}
    - baremetal.vllm.driver:
        step: files
        key: {path: "{{ top }}/key.asc", url: "http://mirror.invalid/key.asc", fingerprint: "0000"}
      ignore_errors: true
    - baremetal.vllm.hub_revision: {model: Org/Tiny, endpoint: "http://hub.invalid"}
      register: revision
    - baremetal.vllm.model_weights:
        items: [{source: hub, repo: Org/Tiny, revision: "{{ revision.revision }}", path: "{{ top }}/models/tiny"}]
        store: "{{ top }}/models"
        run_dir: "{{ top }}/run"
        token_file: "{{ top }}/token"
        endpoint: http://hub.invalid
        engine_python: "{{ ansible_playbook_python }}"
    - baremetal.vllm.wheelhouse: {release: 0.32.0, accelerator: cuda, directory: "{{ top }}/wheelhouse"}
      ignore_errors: true
"""
APT = """#!/bin/sh
echo "$* $https_proxy $no_proxy $NEEDRESTART_SUSPEND" >> {top}/apt
case "$*" in *install*) test -e {top}/updated || {{ echo "E: Unable to locate package g++" >&2; exit 100; }} ;; *) touch {top}/updated ;; esac
"""


@cache
def proxied_modules() -> set[str]:
    """Modules whose documentation says that they take a proxy."""
    return {
        f"baremetal.vllm.{path.stem}"
        for path in (ROOT / "plugins" / "modules").glob("*.py")
        if "- baremetal.vllm.proxy\n" in path.read_text()
    }


@cache
def load(path: Path) -> Any:
    return yaml.load(path.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def tasks_of(part: Any, defaults: frozenset[str] = frozenset()) -> Iterator[tuple[str, dict[str, Any], frozenset[str]]]:
    """(module, arguments, modules with defaults) of every task in a file."""
    for task in part or []:
        own = defaults | {
            name for name, given in task.get("module_defaults", {}).items() if set(proxy.ARGUMENTS) <= set(given)
        }
        for nested in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks_of(task.get(nested), own)
        for name in proxied_modules() & set(task):
            yield name, task[name], own


# Steps of modules that fetch something in another one.
FETCH_NOTHING = ("look", "look_amd", "prune")


def test_every_task_that_fetches_is_told_of_the_proxy() -> None:
    found = set()
    for path in [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/**/*.yml")]:
        main = path.with_name("main.yml")
        # What main.yml includes has the defaults of its block.
        block = load(main)[0] if main.is_file() else {}
        inherited = frozenset(block.get("module_defaults", {}))
        for name, given, defaults in tasks_of(load(path), inherited):
            found.add(name)
            values = {key: str(given.get(key)) for key in proxy.ARGUMENTS}
            told = values == {key: f"{{{{ vllm_{key} | default(omit) }}}}" for key in proxy.ARGUMENTS}
            assert told or given.get("state") == "absent" or given.get("step") in FETCH_NOTHING or name in defaults, (
                path,
                given,
            )
    assert found == proxied_modules()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[StandInProxy, Path, str]]:
    """One play of everything that fetches, behind a proxy that asks for a password."""
    top = tmp_path_factory.mktemp("proxied")
    programs = top / "bin"
    programs.mkdir()
    for name, text in (
        ("apt-get", APT.format(top=top)),
        ("dpkg-query", "#!/bin/sh\nexit 1\n"),
        ("dnf", "#!/bin/sh\nexit 1\n"),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    (top / "play.yml").write_text(PLAY)
    with Hub() as hub:
        hub.add("Org/Tiny", COMMIT, {"config.json": b"{}", "model.safetensors": os.urandom(100_000)})
        with StandInProxy({HUB: hub.endpoint.partition("://")[2]}) as between:
            hub.network = f"http://{HUB}"
            told = {"vllm_proxy": between.url, "vllm_no_proxy": ["10.9.8.7"], "top": str(top)}
            inventory = {"all": {"hosts": {"localhost": {"ansible_connection": "local"}}, "vars": told}}
            inventory["all"]["vars"]["ansible_python_interpreter"] = sys.executable
            (top / "inventory.json").write_text(json.dumps(inventory))
            done = subprocess.run(
                [TOOLS / "ansible-playbook", "-vvv", "-i", top / "inventory.json", top / "play.yml"],
                cwd=top,
                env={
                    **{
                        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_", "HF_"))
                    },
                    "PATH": f"{programs}:{os.environ['PATH']}",
                    # Nothing that this computer is set up with: one index, which the proxy alone could reach.
                    "UV_DEFAULT_INDEX": f"http://{INDEX}/simple",
                    "UV_NO_CONFIG": "1",
                    "UV_CACHE_DIR": str(top / "uv"),
                    "ANSIBLE_LOCAL_TEMP": str(top / "tmp"),
                    "ANSIBLE_REMOTE_TEMP": str(top / "tmp"),
                },
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
            yield between, top, done.stdout + done.stderr


def test_each_went_through_the_proxy_with_its_password(ran: tuple[StandInProxy, Path, str]) -> None:
    between, top, __ = ran
    asked = " ".join(between.asked)
    for part in (
        f"http://{MIRROR}/key.asc",
        f"http://{HUB}/api/models/Org/Tiny",
        f"http://{HUB}/Org/Tiny/resolve/{COMMIT}/model.safetensors",
        f"http://{INDEX}/simple/vllm/",
    ):
        assert part in asked
    lines = (top / "apt").read_text().splitlines()
    assert [line.endswith(f" {between.url} localhost,127.0.0.1,::1,10.9.8.7 1") for line in lines] == [True] * len(
        lines
    )
    assert (top / "models" / "tiny" / "model.safetensors").stat().st_size == 100_000


def test_the_password_is_told_nowhere(ran: tuple[StandInProxy, Path, str]) -> None:
    between, top, output = ran
    assert between.seen == set()
    assert PASSWORD not in output
    assert WRITTEN not in output
    holders = [
        path
        for path in top.rglob("*")
        if path.is_file() and path.name not in ("inventory.json", "apt") and WRITTEN.encode() in path.read_bytes()
    ]
    assert holders == []


def test_apt_reads_its_lists_where_they_lack_a_package(ran: tuple[StandInProxy, Path, str]) -> None:
    __, top, output = ran
    verbs = [
        word
        for line in (top / "apt").read_text().splitlines()
        for word in line.split()
        if word in ("install", "update")
    ]
    assert verbs in (["install", "update", "install"], ["update", "install"])
    # The key and the wheelhouse, which the proxy had no way to.
    assert output.count("fatal: [localhost]: FAILED!") == 2
    assert "key.asc could not be fetched: HTTP Error 404" in output
