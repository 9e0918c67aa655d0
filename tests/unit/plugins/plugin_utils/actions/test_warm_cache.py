"""A host is asked about compile caches only where there is something to give or to take; what fails is a warning."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar
from ansible_collections.baremetal.vllm.plugins.action import warm_cache
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import sha256_of
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import ARCHIVE, Manifest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import EngineFacts, HostFacts, digest, parts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.jsonform import json_form
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.service import compiled_for
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore

CACHES = "/var/cache/vllm"
ENVIRONMENT = {
    **{"HOME": CACHES, "XDG_CACHE_HOME": CACHES, "VLLM_CACHE_ROOT": f"{CACHES}/vllm"},
    **{"TRITON_CACHE_DIR": f"{CACHES}/triton", "TORCHINDUCTOR_CACHE_DIR": f"{CACHES}/torchinductor"},
}
SERVICE = Service(
    "m",
    unit="vllm-m.service",
    accelerator="cpu",
    release="0.32.0",
    argv=("vllm", "serve", "/m", "--dtype", "float32"),
    environment=ENVIRONMENT,
    weights="/m",
    revision="c0ffee",
)
EAGER = replace(SERVICE, name="e", argv=(*SERVICE.argv, "--enforce-eager"))
HOST, ENGINE = HostFacts("x86_64", "glibc 2.36", "0123", 2), EngineFacts("e1", "3.11.2")


def parts_of(service: Service = SERVICE, host: HostFacts = HOST) -> dict[str, str]:
    told = compiled_for(service)
    assert told is not None
    return parts(told, host, ENGINE)


class Host:
    """A host that answers as the module would, and notes what it was asked and sent."""

    def __init__(self, tmp_path: Path, **facts: Any) -> None:
        self.asked: list[dict[str, Any]] = []
        self.sent: list[tuple[str, str]] = []
        self.facts = {"parts": parts_of(), "held": False, "placed": False, **facts}
        self.archive = tmp_path / "archive"
        self.archive.write_bytes(b"compiled")
        self.kept = Manifest(digest(parts_of()), parts_of(), sha256_of(self.archive), 8, 1, "2026", "m", "h1")
        self.failing = False

    def module(self, module_args: dict[str, Any], **__: Any) -> dict[str, Any]:
        self.asked.append(module_args)
        names = [service["name"] for service in module_args.get("services", ())]
        if self.failing:
            return {"failed": True, "msg": f"{module_args['step']}: No space left on device"}
        if module_args["step"] == "facts":
            return {"facts": dict.fromkeys(names, self.facts)}
        if module_args["step"] == "bring":
            return {"placed": dict.fromkeys(module_args["caches"], 1), "refused": {}}
        known = {key for service in module_args["services"] for key in service["known"]}
        return {"kept": {} if self.kept.key in known else {"m": vars(self.kept)}, "refused": {}}

    def run(self, store: WarmStore, check: bool = False, looked: Any = None, **given: Any) -> dict[str, Any]:
        task = SimpleNamespace(
            args={"directory": str(store.directory), **given}, async_val=0, check_mode=check, diff=False
        )
        task.action = "baremetal.vllm.warm_cache"
        connection: Any = SimpleNamespace(_shell=SimpleNamespace(tmpdir="/tmp/x/"))
        connection.put_file = lambda here, there: self.sent.append((here, there))
        connection.fetch_file = lambda there, here: shutil.copyfile(self.archive, here)
        loader = DataLoader()
        action: Any = warm_cache.ActionModule(task, connection, None, loader, Templar(loader, {}), None)
        action._execute_module = self.module
        action._make_tmp_path = lambda: "/tmp/x/"
        result: dict[str, Any] = action.run(task_vars={"inventory_hostname": "h1", "__vllm_look": looked})
        return result

    @property
    def steps(self) -> list[str]:
        return [asked["step"] for asked in self.asked]


@pytest.fixture
def store(tmp_path: Path) -> WarmStore:
    return WarmStore(tmp_path / "warm")


@pytest.fixture
def filled(store: WarmStore, tmp_path: Path) -> WarmStore:
    host = Host(tmp_path)
    store.add(host.kept, lambda path: shutil.copyfile(host.archive, path) and None)
    return store


def services(*given: Service) -> list[dict[str, Any]]:
    return [json_form(each) for each in given]


def proved(compiled: dict[str, Any] | None, passed: bool = True) -> list[dict[str, Any]]:
    return [{"model": "m", "passed": passed, "compile": compiled}]


COMPILED, LOADED = (
    {"compiled": 1, "seconds": 33.1, "loaded": 0, "refused": ""},
    {"compiled": 0, "seconds": 0, "loaded": 1, "refused": ""},
)
REFUSED = {"compiled": 1, "seconds": 33.1, "loaded": 0, "refused": "Compile cache file corrupted."}


def test_a_host_gets_what_fits(filled: WarmStore, tmp_path: Path) -> None:
    host = Host(tmp_path)
    result = host.run(filled, services=services(SERVICE, EAGER))
    key = digest(parts_of())
    assert host.steps == ["facts", "bring"]
    assert host.sent == [(str(filled.directory / key / ARCHIVE), f"/tmp/x/{key}.tar")]
    assert (result["changed"], result["brought"]["m"]["files"]) == (True, 1)


@pytest.mark.parametrize("given", [services(), services(EAGER), services(SERVICE)], ids=["none", "eager", "no cache"])
def test_a_host_without_anything_to_get_is_not_asked(
    store: WarmStore, tmp_path: Path, given: list[dict[str, Any]]
) -> None:
    host = Host(tmp_path)
    assert host.run(store, services=given)["changed"] is False
    assert host.asked == []


@pytest.mark.parametrize(
    ("facts", "steps"),
    [
        ({"held": True, "placed": True}, ["facts"]),
        # Somebody has emptied /var/cache/vllm.
        ({"held": True}, ["facts", "bring"]),
        # Its engine is not installed yet.
        ({"parts": None}, ["facts"]),
    ],
)
def test_what_a_host_has_is_not_sent(
    filled: WarmStore, tmp_path: Path, facts: dict[str, Any], steps: list[str]
) -> None:
    host = Host(tmp_path, **facts)
    host.run(filled, services=services(SERVICE))
    assert (host.steps, host.sent) == (steps, [])


@pytest.mark.parametrize(
    ("held", "engine", "steps", "sent"),
    [
        ({}, ENGINE, ["bring"], 1),
        ({digest(parts_of()): False}, ENGINE, ["bring"], 0),
        ({digest(parts_of()): True}, ENGINE, [], 0),
        # Its engine is younger than the look.
        ({}, None, ["facts", "bring"], 1),
    ],
    ids=["not there", "not where engines look", "there", "no engine yet"],
)
def test_a_look_is_not_repeated(
    filled: WarmStore, tmp_path: Path, held: dict[str, bool], engine: EngineFacts | None, steps: list[str], sent: int
) -> None:
    host = Host(tmp_path)
    looked = {"warm": {"host": json_form(HOST), "engine": json_form(engine), "held": held}}
    host.run(filled, looked=looked, look="__vllm_look", services=services(SERVICE))
    assert (host.steps, len(host.sent)) == (steps, sent)


def test_a_miss_is_told_with_what_differs(filled: WarmStore, tmp_path: Path) -> None:
    other = parts_of(host=replace(HOST, cpu="4567"))
    found = Host(tmp_path, parts=other).run(filled, services=services(SERVICE))
    assert found["brought"] == {"m": {"cold": "host cpu was 0123 and is 4567"}}
    host = Host(tmp_path)
    found = host.run(filled, services=services(replace(SERVICE, argv=(*SERVICE.argv, "--max-num-seqs", "8"))))
    assert found["brought"] == {"m": {"cold": '--max-num-seqs was not there and is ["8"]'}}
    assert host.asked == []


def test_check_mode_sends_nothing(filled: WarmStore, tmp_path: Path) -> None:
    host = Host(tmp_path)
    assert host.run(filled, check=True, services=services(SERVICE))["changed"] is True
    assert (host.steps, host.sent) == (["facts"], [])


def test_a_changed_cache_is_not_sent(filled: WarmStore, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (filled.directory / digest(parts_of()) / ARCHIVE).write_bytes(b"poison")
    host = Host(tmp_path)
    assert host.run(filled, services=services(SERVICE))["changed"] is False
    assert host.sent == []
    assert "is not what its manifest says" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("step", ["bring", "collect"])
def test_a_host_that_fails_starts_cold(
    filled: WarmStore, tmp_path: Path, capsys: pytest.CaptureFixture[str], step: str
) -> None:
    host = Host(tmp_path)
    host.failing = True
    result = host.run(filled, step=step, services=services(SERVICE), results=proved(COMPILED))
    assert not result.get("failed")
    assert result["changed"] is False
    assert "No space left on device" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("results", "collected"),
    [
        (proved(COMPILED), True),
        # From before there was a store.
        (proved(LOADED), True),
        (proved(None), True),
        (proved(COMPILED, passed=False), False),
        ([], False),
    ],
)
def test_what_was_proved_is_collected_once(
    store: WarmStore, tmp_path: Path, results: list[dict[str, Any]], collected: bool
) -> None:
    host = Host(tmp_path)
    result = host.run(store, step="collect", services=services(SERVICE, EAGER), results=results)
    assert bool(result["collected"]) == collected == bool(host.asked)
    assert [kept.host for kept in store.caches()] == ["h1"] * collected


@pytest.mark.parametrize(
    ("compiled", "steps", "collected"),
    [
        (LOADED, [], False),
        # Another host compiled at the same time.
        (COMPILED, ["keep"], False),
        # What vLLM would not load is replaced.
        (REFUSED, ["keep"], True),
    ],
)
def test_of_a_cache_that_is_kept_no_other_is_fetched(
    filled: WarmStore, tmp_path: Path, compiled: dict[str, Any], steps: list[str], collected: bool
) -> None:
    host = Host(tmp_path)
    result = host.run(filled, step="collect", services=services(SERVICE), results=proved(compiled))
    assert (host.steps, bool(result["collected"])) == (steps, collected)


def test_check_mode_collects_nothing(store: WarmStore, tmp_path: Path) -> None:
    host = Host(tmp_path)
    host.run(store, check=True, step="collect", services=services(SERVICE), results=proved(COMPILED))
    assert host.asked == []
