"""What the scenarios' tests share: running the playbooks as an operator does, and looking at hosts from outside."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import testinfra

ROOT = Path(__file__).resolve().parents[2]
LAB = ROOT / "tools" / "lab" / "lab.yml"
sys.path.insert(0, str(ROOT / "tests"))
from ansible_runs import environment, run

STATE = Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "baremetal-vllm" / "lab"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "baremetal-vllm"
KEY = "lab-key-no-secret"
# Where site.yml and verify.yml write what they proved, when a test runs them; scenarios run side by side.
REPORT = STATE / f"test-report-{os.environ.get('MOLECULE_SCENARIO_NAME', 'lab')}.json"
STANDIN_RELEASE = "9.9.9"


@dataclass(frozen=True)
class Run:
    """A finished ansible-playbook: exit status, everything it printed, seconds, and the recap's counts by host."""

    rc: int
    text: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        lines = self.text.partition("PLAY RECAP")[2].splitlines()
        found = (re.match(r"(\S+)\s+: (.*)", line) for line in lines)
        return {m[1]: {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", m[2])} for m in found if m}

    @property
    def changed(self) -> int:
        return sum(counts["changed"] for counts in self.recap.values())


def command(name: str, *arguments: str, inventories: Sequence[Path] = (), **variables: Any) -> list[str]:
    """The ansible-playbook of a playbook of the collection, or of the lab's own, on the lab's inventory and, after it, on others."""
    words = ["ansible-playbook", str(LAB) if name == "lab" else f"baremetal.vllm.{name}"]
    for inventory in (ROOT / "inventories" / "lab", *inventories):
        words += ["-i", str(inventory)]
    # No catalogue knows the stand-in's release.
    ours = {"vllm_report_path": str(REPORT), "vllm_unchecked_releases": [STANDIN_RELEASE]}
    return [*words, *arguments, "-e", json.dumps({**ours, **variables})]


def ansible(*words: str, quiet: bool = False) -> Run:
    """Run one of Ansible's programs to its end."""
    started = time.monotonic()
    done = run(*words, timeout=0)
    ended = Run(done.returncode, done.stdout + done.stderr, time.monotonic() - started)
    if not quiet:
        print(ended.text)
    return ended


def playbook(
    name: str, *arguments: str, quiet: bool = False, inventories: Sequence[Path] = (), **variables: Any
) -> Run:
    """Run a playbook of the collection on the lab; keyword arguments are extra variables."""
    return ansible(*command(name, *arguments, inventories=inventories, **variables), quiet=quiet)


class Playing:
    """A playbook under way, told line by line."""

    def __init__(self, words: Sequence[str]) -> None:
        self.started = time.monotonic()
        self.process = subprocess.Popen(
            words, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip
        self.text = ""
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self) -> None:
        for line in self.process.stdout or ():
            self.text += line

    def reaches(self, words: str, seconds: float = 180) -> None:
        """Wait for the task (or any other words)."""
        end = time.monotonic() + seconds
        while words not in self.text:
            assert self.process.poll() is None and time.monotonic() < end, f"never came to {words!r}:\n{self.text}"  # noqa: PT018
            time.sleep(0.05)

    def interrupt(self) -> None:
        """What Ctrl-C does."""
        self.process.send_signal(signal.SIGINT)
        self.end()

    def kill(self) -> None:
        """The control node's end: this process and all that it started, without a word."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self, seconds: float = 400) -> Run:
        self.process.wait(seconds)
        self.reader.join(5)
        print(self.text)
        return Run(self.process.returncode, self.text, time.monotonic() - self.started)


def host(name: str) -> Any:
    """A testinfra host over the lab's own ssh configuration."""
    return testinfra.get_host(f"ssh://{name}", ssh_config=str(STATE / "ssh" / "config"))


def address(name: str) -> str:
    text = (STATE / "ssh" / "config").read_text()
    match = re.search(rf"Host {name}\n\s+HostName (\S+)", text)
    assert match, f"{name} is not in the lab's ssh configuration"
    return match[1]


def show(target: Any, unit: str, *properties: str) -> dict[str, str]:
    """`systemctl show` of one unit as a dictionary."""
    text = target.check_output("systemctl show %s -p %s", unit, ",".join(properties))
    return dict(line.partition("=")[::2] for line in text.splitlines())


def argv(target: Any, pid: str | int) -> list[str]:
    """The arguments of a process as the kernel has them."""
    encoded = target.check_output("base64 -w0 /proc/%s/cmdline", str(pid))
    return [word.decode() for word in base64.b64decode(encoded).split(b"\0")[:-1]]


def ask(name: str, port: int, path: str, body: dict[str, Any] | None = None, key: str | None = KEY) -> tuple[int, Any]:
    """One HTTP request from the control node over the lab's network: status and JSON (or text)."""
    place = f"[{address(name)}]" if ":" in address(name) else address(name)
    request = urllib.request.Request(f"http://{place}:{port}{path}")
    request.add_header("Content-Type", "application/json")
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(request, data, timeout=60) as response:
            status, raw = response.status, response.read()
    except urllib.error.HTTPError as error:
        status, raw = error.code, error.read()
    except OSError as error:
        return 0, str(error)
    try:
        return status, json.loads(raw)
    except ValueError:
        return status, raw.decode(errors="replace")


def generations(target: Any) -> list[dict[str, Any]]:
    """The manifests of a host's generations, oldest first."""
    numbers = sorted(int(n) for n in target.check_output("ls /var/lib/vllm/generations").split())
    files = [target.file(f"/var/lib/vllm/generations/{n}/manifest.json") for n in numbers]
    return [json.loads(file.content_string) for file in files]


def wait_until(condition: Any, seconds: float, what: str) -> Any:
    """The condition's first true value; fails, naming what was waited for, after the given time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            value = condition()
        except Exception as error:  # a host that is rebooting refuses, times out, or cuts the line
            value = None
            print(f"{what}: {type(error).__name__}")
        if value:
            return value
        time.sleep(1)
    raise AssertionError(f"not within {seconds} s: {what}")


def install_standin(
    name: str, release: str = STANDIN_RELEASE, faults: Sequence[str] = (), accelerator: str = "cpu", **settings: Any
) -> None:
    """Lay the stand-in engine out on a host the way vllm_engine lays out a real one.

    `faults` and `settings` (start, first: seconds; rate: tokens a second) are what this release is like, whichever unit
    runs it; standin_engine.py lists them.
    """
    folder, shared = f"opt/vllm/{release}", ROOT / "molecule" / "shared"
    marker = dict.fromkeys(("lock_sha256", "python", "finished_at"), "stand-in")
    files = {f"bin/{file.name}": file.read_bytes() for file in shared.glob("standin_*.py")}
    files["bin/vllm"] = files.pop("bin/standin_engine.py")
    files["bin/standin_vllm.py"] = (
        ROOT / "tests" / "unit" / "plugins" / "module_utils" / "endpoints" / "standin_vllm.py"
    ).read_bytes()
    files["bin/standin.json"] = json.dumps({**settings, "faults": list(faults)}).encode()
    files[".complete.json"] = json.dumps({**marker, "release": release, "accelerator": accelerator}).encode()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for path, content in {
            **{f"{folder}/{path}": c for path, c in files.items()},
            "srv/stand-in/config.json": b"",
        }.items():
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode, entry.mtime = len(content), 0o755, int(time.time())
            archive.addfile(entry, io.BytesIO(content))
    unpack = f"tar -x -C / --no-overwrite-dir && ln -sf /usr/bin/python3 /{folder}/bin/python"
    command = ["ssh", "-F", str(STATE / "ssh" / "config"), name, unpack]
    subprocess.run(command, input=packed.getvalue(), check=True)


def received(name: str, unit: str, since: str = "-1h") -> list[str]:
    """The requests that really reached a stand-in engine, oldest first: `POST /v1/… model=… bytes=… mark=…`."""
    lines = host(name).check_output("journalctl -q -o cat -u %s --since=%s", unit, since).splitlines()
    return [line.removeprefix("request: ") for line in lines if line.startswith("request: ")]
