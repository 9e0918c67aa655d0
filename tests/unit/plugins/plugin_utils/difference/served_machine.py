"""The program that is a simulated host: real modules of this collection on real files, in a namespace of its own.

Everything below the directories of `OWN` is this process's alone (overlayfs in a mount namespace, mount_namespaces(7)), /proc holds
the simulated processes, and systemd is a stand-in. One JSON line asks for a module's run or for something that happens to the
host, one answers.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

OWN = ("/etc", "/opt", "/usr/local", "/var/lib", "/run", "/srv")
# What one drawn host leaves there for the next.
LEFT = (
    *("/etc/vllm", "/etc/sysusers.d", "/etc/tmpfiles.d", "/etc/needrestart", "/usr/local/libexec", "/opt/vllm"),
    *("/var/lib/vllm", "/run/baremetal-vllm", "/srv/models"),
)
MODULES = "ansible_collections.baremetal.vllm.plugins.modules"
USERS = ("/etc/passwd", "/etc/group")


def enter(scratch: Path) -> None:
    """Make the directories this process's own. Raises CalledProcessError where the kernel does not let it."""
    _mount("-t", "tmpfs", "none", str(scratch))
    for place in filter(os.path.isdir, OWN):
        upper, work = scratch / place[1:] / "upper", scratch / place[1:] / "work"
        upper.mkdir(parents=True)
        work.mkdir()
        _mount("-t", "overlay", "none", "-o", f"lowerdir={place},upperdir={upper},workdir={work}", place)
    _mount("-t", "tmpfs", "none", "/proc")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True, capture_output=True)


class Host:
    """The machine, its modules, and what may happen to it."""

    def __init__(self) -> None:
        # Here and not above: what follows is imported once this process is alone with its files.
        from ansible_collections.baremetal.vllm.plugins.module_utils.engine import installed
        from ansible_collections.baremetal.vllm.plugins.module_utils.weights import job
        from served_systemd import Machine, standing_in

        self.machine = Machine()
        # A kernel that can mount no image of an engine: they come as packages.
        self.write("/proc/filesystems", "nodev\tproc\n")
        self.users = {path: Path(path).read_text() for path in USERS}
        self.packages: set[str] = set()
        which = shutil.which
        simulated = {"nft", "systemctl"}
        hidden = {"firewall-cmd", "ufw", "restorecon"}

        def found(name: str, *more: Any, **named: Any) -> str | None:
            if name in simulated:
                return f"/usr/sbin/{name}" if name in self.machine.programs else None
            return None if name in hidden else which(name, *more, **named)

        subprocess.run = standing_in(self.machine, subprocess.run)  # type: ignore[assignment]
        shutil.which = found  # type: ignore[assignment]
        python = {"path": "/usr/bin/python3.12", "version": "3.12.3", "headers": True}
        installed.pythons = lambda extra="": [python]
        installed.free_bytes = lambda path: 1 << 40
        job.start, job.poll = self._fetch, self._fetched  # type: ignore[assignment]
        self._items: list[dict[str, Any]] = []

    def reset(self) -> None:
        """Nothing of ours is there, and nobody of ours."""
        self.machine.reset()
        for path in LEFT:
            shutil.rmtree(path, ignore_errors=True)
        units = Path("/etc/systemd/system")
        units.mkdir(parents=True, exist_ok=True)
        for path in (*units.glob("*vllm*"),):
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, text in self.users.items():
            Path(name).write_text(text)
        self.have_packages([])
        # Nodes are numbered in another order than the GPUs on the bus.
        for index, minor in enumerate((2, 3, 0, 1, 4, 5, 6, 7)):
            self.write(f"/proc/driver/nvidia/gpus/0000:{index + 1:02x}:00.0/information", f"Device Minor: \t {minor}\n")

    def have_packages(self, names: Sequence[str]) -> None:
        """Packages of the distribution, in dpkg's own records."""
        status = Path("/var/lib/dpkg/status")
        status.parent.mkdir(parents=True, exist_ok=True)
        self.packages = set(names)
        status.write_text("".join(f"Package: {name}\nStatus: install ok installed\n\n" for name in sorted(names)))
        Path("/etc/os-release").unlink(missing_ok=True)
        Path("/etc/os-release").write_text("ID=debian\n")

    def module(self, name: str, arguments: Mapping[str, Any], check: bool) -> dict[str, Any]:
        """The answer of a module, as Ansible would start it on a host."""
        from ansible.module_utils import basic

        whole = {**arguments, "_ansible_check_mode": check, "_ansible_diff": True, "_ansible_remote_tmp": "/tmp"}
        basic._ANSIBLE_ARGS = json.dumps({"ANSIBLE_MODULE_ARGS": whole}).encode()
        basic._ANSIBLE_PROFILE = "legacy"
        said = io.StringIO()
        with contextlib.redirect_stdout(said), contextlib.suppress(SystemExit):
            importlib.import_module(f"{MODULES}.{name}").main()
        answer: dict[str, Any] = json.loads(said.getvalue())
        return answer

    def install_packages(self, names: Sequence[str]) -> None:
        """nftables brings its program."""
        self.have_packages([*self.packages, *names])
        if "nftables" in names:
            self.machine.programs.add("nft")

    def install_engine(self, path: str, release: str, accelerator: str, digest: str) -> None:
        """What the build of a release leaves behind (module_utils/engine/build.py)."""
        root = Path(path)
        (root / "bin").mkdir(parents=True, exist_ok=True)
        for name in ("vllm", "python"):
            (root / "bin" / name).write_text("#!/bin/sh\n")
            (root / "bin" / name).chmod(0o755)
        root.with_name(f".building-{release}").touch()
        marker = {
            "release": release,
            "accelerator": accelerator,
            "lock_sha256": digest,
            "python": "3.12",
            "finished_at": "2026-11-30",
        }
        (root / ".complete.json").write_text(json.dumps(marker))

    def _fetch(self, directory: str, python: str, order: Mapping[str, Any], wait: float = 0) -> str | None:
        from ansible_collections.baremetal.vllm.plugins.module_utils.weights import manifest as mf

        self._items = list(order["items"])
        for item in self._items:
            _model(item["path"])
            entries = [
                mf.FileEntry(name, state.st_size, mf.hash_file(os.path.join(item["path"], name))[0])
                for name, state in mf.walk(item["path"])
            ]
            mf.write(item["path"], mf.Manifest(tuple(entries), f"hub:{item['repo']}@{item['revision']}"))
        return None

    def _fetched(self, directory: str) -> dict[str, Any]:
        items = [
            {"path": item["path"], "repo": item["repo"], "total": 1, "done": 1, "state": "done"} for item in self._items
        ]
        return {"state": "done", "items": items, "errors": [], "alive": False, "log": ""}

    # What may happen to a host between two runs.

    def model(self, path: str) -> None:
        _model(path)

    def put(self, source: str, path: str) -> None:
        """A file of the control node, as a connection sends it."""
        shutil.copyfile(source, path)

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(text)
        Path(path).chmod(mode)

    def bytes(self, path: str, text: str) -> None:
        """The bytes of these hexadecimal digits."""
        Path(path).write_bytes(bytes.fromhex(text))

    def is_there(self, path: str) -> bool:
        return os.path.lexists(path)

    def edit(self, path: str, before: str, after: str) -> None:
        text = Path(path).read_text()
        assert before in text, f"{path} has no {before!r}"
        Path(path).write_text(text.replace(before, after, 1))

    def append(self, path: str, text: str) -> None:
        with open(path, "a", encoding="utf-8") as stream:
            stream.write(text)

    # Another drift may have taken a file already.

    def chmod(self, path: str, mode: int) -> None:
        if self.is_there(path):
            os.chmod(path, mode)

    def chown(self, path: str, uid: int) -> None:
        if self.is_there(path):
            os.chown(path, uid, uid)

    def remove(self, path: str) -> None:
        shutil.rmtree(path) if os.path.isdir(path) else Path(path).unlink(missing_ok=True)

    def state(self, unit: str, active: str, sub: str) -> None:
        self.machine.stop(unit, active, sub)

    def starting(self, unit: str) -> None:
        self.machine.start(unit)
        self.machine.unit(unit).active, self.machine.unit(unit).sub = "activating", "start-post"

    def restart(self, unit: str) -> None:
        self.machine.start(unit)

    def disable(self, unit: str) -> None:
        self.machine.unit(unit).enabled = False

    def reload(self) -> None:
        self.machine.reload()

    def forget_table(self) -> None:
        """`nft flush ruleset`."""
        self.machine.chains = set()

    def add_user(self) -> None:
        self.machine.run(["systemd-sysusers"])

    def lose_program(self, name: str) -> None:
        self.machine.programs.discard(name)

    def files(self) -> list[str]:
        """Of ours: every path with mode, owner and content, and every unit's state, to see whether anything was touched."""
        found = []
        for top in (*LEFT, "/etc/systemd/system"):
            for folder, __, names in os.walk(top):
                for name in names:
                    path = Path(folder, name)
                    if "vllm" not in str(path) and not str(path).startswith("/srv/models"):
                        continue
                    state = path.lstat()
                    content = path.read_bytes() if path.is_file() else b""
                    found.append(f"{path} {state.st_mode:o} {state.st_uid} {hash(content)}")
        units = [
            f"{name} {unit.active} {unit.sub} {unit.enabled} {unit.pid} {hash(unit.text)} {sorted(unit.beside)}"
            for name, unit in self.machine.units.items()
            if unit.active != "inactive"
        ]
        return sorted([*found, *units, f"chains {sorted(self.machine.chains)}"])


def _model(path: str) -> None:
    """Something that vLLM could load."""
    Path(path).mkdir(parents=True, exist_ok=True)
    (Path(path) / "config.json").write_text("{}")
    (Path(path) / "model.safetensors").write_bytes(b"\0" * 64)


def main() -> None:
    # Without /proc/self/fd every number up to this one is closed in a child.
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
    enter(Path(sys.argv[1]))
    host = Host()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        said = getattr(host, asked["do"])(*asked["with"])
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
