"""The playbook in which hosts bring content to each other, under real Ansible: hosts are mount namespaces of this machine, agents are
real and meet on loopback; systemd is a stand-in. Root alone can make such hosts."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

import ansible_runs
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf

ROOT = Path(__file__).resolve().parents[5]
STANDINS = Path(__file__).with_name("standin_systemd")
MODEL = "/srv/models/pushed/tiny/0123"
NEEDS = ("nsenter", "unshare", "mount")

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or not all(map(shutil.which, NEEDS)), reason="makes mount namespaces, for which it needs root"
)

# Headers see the hosts of an earlier play.
BEGIN = """
- name: Begin
  hosts: gpu_hosts
  gather_facts: false
  tasks:
    - name: Begin
      ansible.builtin.meta: noop
"""
END = f"""
- name: Bring what is still missing
  hosts: gpu_hosts
  gather_facts: false
  tasks:
    - name: Bring the weights
      ansible.builtin.include_role:
        name: baremetal.vllm.model_weights
      vars:
        model_weights_items: "{{{{ __vllm_plan.plan.hosts[inventory_hostname].weights }}}}"
        model_weights_store: /srv/models
      when: ordinary | default(false) | bool

    - name: Look at them
      ansible.builtin.command: stat -c %U-%a-%n {MODEL}/config.json {MODEL}/.manifest.json
      changed_when: false
      failed_when: false
      register: looked

    - name: Show
      ansible.builtin.debug:
        msg: "{{{{ inventory_hostname }}}} has {{{{ looked.stdout_lines | length }}}} files"
"""


def as_in(book: str) -> str:
    """The part of a playbook of ours that has hosts bring content to each other, with what it hands over."""
    part = next(
        play
        for play in yaml.safe_load((ROOT / "playbooks" / book).read_text())
        if play.get("ansible.builtin.import_playbook") == "fan_out.yml"
    )
    return json.dumps([{**part, "ansible.builtin.import_playbook": str(ROOT / "playbooks" / "fan_out.yml")}])[1:-1]


def free_port() -> int:
    """A port below those that the kernel gives to connections, so that none has it when it is wanted."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.socket() as free:
            free.bind(("127.0.0.1", port))
            return port


class Machine:
    """One host: a mount namespace with /run, /srv and /var/lib of its own, kept by a process that sleeps."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.python = name, folder / f"python-{name}"
        begin = "for each in /run /srv /var/lib; do mount -t tmpfs none $each || exit; done; echo there; exec sleep infinity"
        self.keeper = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", begin], stdout=subprocess.PIPE, text=True
        )
        assert self.keeper.stdout
        if self.keeper.stdout.readline() != "there\n":
            pytest.skip("this kernel makes no mount namespaces")
        words = f"nsenter --target {self.keeper.pid} --mount env PATH={STANDINS}:/usr/bin:/bin"
        self.python.write_text(f'#!/bin/sh\nexec {words} {sys.executable} "$@"\n')
        self.python.chmod(0o755)
        self.port = free_port()

    def do(self, *words: str) -> str:
        done = subprocess.run(
            ["nsenter", "--target", str(self.keeper.pid), "--mount", *words], capture_output=True, text=True, check=True
        )
        return done.stdout

    def there(self) -> list[str]:
        return sorted(self.do("find", "/srv", "-type", "f", "-printf", "%P %s\n").splitlines())

    def close(self) -> None:
        for line in self.do("sh", "-c", "cat /run/standin/*.pid 2>/dev/null || true").split():
            subprocess.run(["kill", "-9", line], check=False, capture_output=True)
        self.keeper.kill()
        self.keeper.wait()


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[dict[str, Machine]]:
    made = {name: Machine(name, tmp_path) for name in ("a", "b", "c")}
    yield made
    for machine in made.values():
        machine.close()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory of weights as model_weights leaves it, with its manifest."""
    place = tmp_path / "model"
    (place / "shards").mkdir(parents=True)
    (place / "config.json").write_text("{}")
    (place / "shards" / "1.safetensors").write_bytes(hashlib.shake_128(b"1").digest(3 << 20))
    entries = [
        mf.FileEntry(name, state.st_size, mf.hash_file(str(place / name))[0]) for name, state in mf.walk(str(place))
    ]
    mf.write(str(place), mf.Manifest(tuple(entries), "pushed:tiny"))
    return place


class Fleet:
    """The hosts, which of them has the model, and runs of the play."""

    def __init__(self, folder: Path, machines: dict[str, Machine], model: Path) -> None:
        self.folder, self.machines, self.model = folder, machines, model
        # SHA-256 of the image that the engine comes from; "" where it is packages.
        self.image = ""
        self.digest = json.loads((model / mf.MANIFEST).read_text())["digest"]

    def give(self, *names: str) -> None:
        for name in names:
            self.machines[name].do("mkdir", "-p", str(Path(MODEL).parent))
            self.machines[name].do("cp", "-a", str(self.model), MODEL)

    def run(
        self, having: str, *options: str, book: str = "site.yml", **variables: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run the part of that playbook as after a look that found the model on the hosts named by a letter each."""
        (self.folder / "play.yml").write_text(f"{BEGIN}\n- {as_in(book)}\n{END}")
        item = {"source": "pushed", "from": str(self.folder / "gone"), "path": MODEL, "digest": self.digest}
        hosts = {
            name: {
                "ansible_python_interpreter": str(machine.python),
                "vllm_endpoint_address": "127.0.0.1",
                "vllm_fanout_port": machine.port,
                # Of site and of a rollout.
                **dict.fromkeys(
                    ("__vllm_look", "__rollout_state"), self.look("present" if name in having else "absent")
                ),
            }
            for name, machine in self.machines.items()
        }
        engine = {"release": "0.33.0", "accelerator": "cpu", "path": "/opt/vllm/0.33.0"} if self.image else None
        lacking = [name for name in hosts if name not in having]
        shared = {
            "ansible_connection": "local",
            "__vllm_difference": {"topics": {"engine": [], "weights": lacking}},
            "__rollout_order": {"order": lacking},
            "__vllm_plan": {
                "plan": {"hosts": {name: {"engine": engine, "weights": [item]} for name in hosts}, "gateway": None}
            },
            **variables,
        }
        inventory = self.folder / "inventory.json"
        inventory.write_text(json.dumps({"gpu_hosts": {"vars": shared, "hosts": hosts}}))
        words = ("-i", inventory, self.folder / "play.yml", *options)
        return ansible_runs.run("ansible-playbook", *words, cwd=self.folder, timeout=300)

    def look(self, state: str) -> dict[str, Any]:
        found = {"path": MODEL, "state": state, "detail": "", "size": 3 << 20}
        image = {"digest": self.image, "size": 0, "held": state == "present"} if self.image else None
        return {"status": "read", "engine": {"image": image}, "weights": [found]}


@pytest.fixture
def fleet(tmp_path: Path, machines: dict[str, Machine], model: Path) -> Fleet:
    return Fleet(tmp_path, machines, model)


@pytest.mark.parametrize("book", ["site.yml", "rollout.yml"])
def test_hosts_take_from_the_one_that_has_it_and_model_weights_finds_it_there(fleet: Fleet, book: str) -> None:
    fleet.give("a")
    # Fewer forks than hosts: agents go on by themselves.
    ended = fleet.run("a", "-vvv", "--forks", "1", book=book, ordinary=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert f"weights {fleet.folder / 'gone'}@{fleet.digest[:12]} (3.1 MB): b and c take it from a" in ended.stdout
    assert "from host to host to b and c, 3.1 MB each" in ended.stdout
    assert all(f"{name} has 2 files" in ended.stdout for name in "abc")
    files = [line.partition("/")[2] for line in fleet.machines["a"].there()]
    for name in "bc":
        machine = fleet.machines[name]
        assert [line.partition("/")[2] for line in machine.there()] == files
        assert machine.do("sha256sum", f"{MODEL}/shards/1.safetensors") == fleet.machines["a"].do(
            "sha256sum", f"{MODEL}/shards/1.safetensors"
        )
        # Nothing is left of the run, and nobody listens.
        assert machine.do("ls", "/run/vllm-fanout") == ""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", machine.port), timeout=5)
    assert "PRIVATE KEY" not in ended.stdout + ended.stderr


def test_an_image_lies_on_each_host_as_it_is_mounted_from(fleet: Fleet) -> None:
    content = hashlib.shake_128(b"image").digest(2 << 20)
    fleet.image = hashlib.sha256(content).hexdigest()
    (fleet.folder / "image").write_bytes(content)
    place = f"/var/lib/vllm/images/{fleet.image}/engine.squashfs"
    fleet.machines["a"].do("install", "-D", "-m", "444", str(fleet.folder / "image"), place)
    fleet.give("a")
    ended = fleet.run("a")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    # First the image, then the weights.
    told = [line for line in ended.stdout.splitlines() if "from host to host to b and c" in line]
    assert [line.split()[0] for line in told] == ["image", "weights"]
    assert f"image {fleet.image[:12]} of vLLM 0.33.0: " in told[0]
    program = "from ansible_collections.baremetal.vllm.plugins.module_utils.engine import images; print(images.held())"
    for name in "bc":
        assert fleet.machines[name].do(str(fleet.machines[name].python), "-c", program) == f"['{fleet.image}']\n"


def test_what_cannot_be_given_is_told_and_fails_nothing(fleet: Fleet) -> None:
    # Nobody has it, and the first host cannot bring it.
    ended = fleet.run("")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "a brings it, and b and c take it from there" in ended.stdout
    assert "a could not bring it, so each host brings what it lacks itself" in ended.stdout
    assert "b and c in the ordinary way: a has nothing to give" in ended.stdout
    assert all(f"{name} has 0 files" in ended.stdout for name in "abc")


def test_hosts_that_cannot_reach_each_other_end_with_a_sentence(fleet: Fleet) -> None:
    fleet.give("a")
    # A port that nobody may have: a's agent does not listen.
    with socket.create_server(("0.0.0.0", fleet.machines["a"].port)) as taken:
        assert taken
        ended = fleet.run("a", fan_out_bounds={"give_up": 1})
    assert ended.returncode == 0, ended.stdout + ended.stderr
    told = [line for line in ended.stdout.splitlines() if "in the ordinary way" in line]
    assert told
    assert all("in the ordinary way: no chunk came for 1 s" in line for line in told), told
    for name in "bc":
        assert fleet.machines[name].there() == []


@pytest.mark.parametrize(
    ("options", "variables", "said"),
    [
        (["--check"], {}, "b and c would take it from a"),
        ([], {"vllm_weights_from": "upstream"}, ""),
        (["-e", "vllm_weights_from=upstream"], {}, ""),
        # Going back brings nothing.
        (["-e", "rollback_to=previous"], {"book": "rollout.yml"}, ""),
    ],
    ids=["check", "upstream", "upstream-extra", "back"],
)
def test_nothing_is_brought_where_nothing_is_to_be(
    fleet: Fleet, options: list[str], variables: dict[str, Any], said: str
) -> None:
    fleet.give("a")
    ended = fleet.run("a", *options, **variables)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert said in ended.stdout
    assert ("take it" in ended.stdout) == bool(said)
    assert fleet.machines["b"].there() == []
