"""What of ours is found on a host, so that it can be emptied, and what of others is not touched."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import empty
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK


class Host:
    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self.active: set[str] = set()
        self.processes: dict[str, list[str]] = {}
        monkeypatch.setattr(systemd, "show", lambda units: {unit: self.state(unit) for unit in units})
        monkeypatch.setattr(empty, "_user", lambda: False)
        monkeypatch.setattr(empty, "_table", lambda: False)
        monkeypatch.setattr(empty, "ENGINES", str(root / "opt/vllm"))
        monkeypatch.setattr(empty, "used_by_processes", lambda engines: self.processes)

    def state(self, unit: str) -> systemd.UnitState:
        active = "active" if unit in self.active else "inactive"
        return systemd.parse_show(f"Id={unit}\nActiveState={active}\n")[unit]

    def write(self, path: str, text: str = "x") -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def found(self) -> list[str]:
        return [line.replace(f"{self.root}/", "/") for line in empty.look(self.root).lines(drop_ins=False)]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


OURS = f"{MARK}: the next run overwrites this file.\n[Service]\n"


def test_an_empty_host_has_nothing(host: Host) -> None:
    assert host.found() == []


def test_all_that_is_ours_is_found_and_nothing_else(host: Host) -> None:
    units = (
        "vllm-m.service",
        "canary-vllm.service",
        "canary-vllm.timer",
        "firewall-vllm.service",
        "haproxy-vllm.service",
        "haproxy-vllm-certificate.path",
    )
    for unit in units:
        host.write(f"etc/systemd/system/{unit}", OURS)
    host.write("etc/systemd/system/vllm-theirs.service", "[Service]\n")
    host.write("etc/systemd/system/gpu-settings.service", OURS)
    host.write("etc/systemd/system/vllm-m.service.d/own.conf", "[Service]\nNice=1\n")
    host.write("etc/systemd/system/ssh.service.d/own.conf", "[Service]\nNice=1\n")
    host.write("usr/local/libexec/vllm-wait-ready", '"""Waits. Managed by baremetal.vllm."""')
    host.write("usr/local/libexec/vllm-theirs", "#!/bin/sh\n")
    host.write("opt/vllm/0.33.0/bin/vllm")
    host.write("opt/vllm/.building-0.33.0")
    host.write("var/lib/vllm/generations/1/manifest.json")
    host.write("etc/vllm/secrets/api_key.env")
    host.write("etc/haproxy/vllm.cfg")
    host.write("etc/haproxy/haproxy.cfg")
    assert sorted(host.found()) == sorted(
        [
            *(f"/etc/systemd/system/{unit}" for unit in units),
            *("/usr/local/libexec/vllm-wait-ready", "/etc/haproxy/vllm.cfg"),
            *("/opt/vllm", "/var/lib/vllm", "/etc/vllm"),
        ]
    )
    # A release that somebody else has put there is none of ours, so the directory around it stays.
    host.write("opt/vllm/9.9.8/bin/vllm")
    host.write("opt/vllm/python/cpython-3.12/bin/python3.12")
    others = [path for path in host.found() if path.startswith("/opt/")]
    assert others == ["/opt/vllm/.building-0.33.0", "/opt/vllm/0.33.0", "/opt/vllm/python"]
    found = empty.look(host.root)
    assert [Path(path).name for path in found.drop_ins] == ["own.conf"]
    assert set(found.lines(drop_ins=True)) - set(found.lines(drop_ins=False)) == set(found.drop_ins)


@pytest.mark.parametrize(
    ("unit", "told"),
    [
        ("vllm-m.service", ["vllm-m.service"]),
        ("haproxy-vllm.service", ["haproxy-vllm.service"]),
        # Nobody's clients: they are stopped.
        ("canary-vllm.timer", []),
        ("firewall-vllm.service", []),
    ],
)
def test_what_has_clients_is_told_first(unit: str, told: list[str], host: Host) -> None:
    host.write(f"etc/systemd/system/{unit}", OURS)
    host.active = {unit}
    assert list(empty.look(host.root).running) == told


def test_a_process_of_an_engine_is_told_whoever_started_it(host: Host) -> None:
    host.write("opt/vllm/0.33.0/bin/vllm")
    host.processes = {"0.33.0": ["process 7 (vllm)"]}
    assert list(empty.look(host.root).running) == [f"process 7 (vllm) of {host.root}/opt/vllm/0.33.0"]


def test_a_link_is_emptied_and_stays(host: Host) -> None:
    host.write("data/vllm/models/a/config.json")
    (host.root / "var/lib").mkdir(parents=True)
    (host.root / "var/lib/vllm").symlink_to(host.root / "data/vllm")
    (host.root / "data/vllm/elsewhere").symlink_to(host.root / "data")
    assert host.found() == ["/var/lib/vllm/*"]
    empty.clear(host.root / "var/lib/vllm")
    assert host.found() == []
    assert (host.root / "var/lib/vllm").is_symlink()
    assert list((host.root / "data/vllm").iterdir()) == []


def test_what_tells_housekeeping_of_engines_goes_with_the_directories_that_only_it_needed(host: Host) -> None:
    ours = ["/etc/tmpfiles.d/vllm.conf", "/etc/needrestart/conf.d/vllm-engines.conf"]
    for path in ours:
        host.write(path.lstrip("/"))
    assert sorted(host.found()) == sorted(ours)
    shelf = host.root / "etc/needrestart/conf.d"
    empty.clear_shelves(host.root)
    assert shelf.is_dir(), "it still holds a file"
    (shelf / "vllm-engines.conf").unlink()
    empty.clear_shelves(host.root)
    assert not shelf.parent.exists()
    empty.clear_shelves(host.root)
    host.write("etc/needrestart/needrestart.conf")
    shelf.mkdir()
    empty.clear_shelves(host.root)
    assert [path.name for path in shelf.parent.iterdir()] == ["needrestart.conf"]
