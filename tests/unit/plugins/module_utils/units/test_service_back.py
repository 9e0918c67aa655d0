"""Going back: a kept generation's units as they were, on the host as it is now."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import (
    device_nodes,
    generations,
    host_extras,
    restore,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import edited


def kept(root: Path, *units: PlannedUnit) -> generations.Generation:
    generations.write_generation(root, units, "plan")
    return generations.read_generations(root)[-1]


def test_a_kept_unit_is_what_was_planned(unit: Any, tmp_path: Path) -> None:
    planned = unit({"max-model-len": "16k"}, revision="r")
    (again,) = restore.units_of(kept(tmp_path, planned))
    assert again == planned
    (service,) = parse_services([again.service])
    assert (service.name, service.kind, service.port) == ("m", "chat", 8001)


def test_gpus_are_found_as_they_lie_now(unit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of the nodes were others when the generation was made."""
    planned = unit(gpus=(0, 2))
    order = [3, 2, 1, 0]
    monkeypatch.setattr(device_nodes, "numbers", lambda kind, root: order)
    then, __ = device_nodes.resolve([planned], {})
    assert "DeviceAllow=/dev/nvidia3 rw" in then[0].text
    generation = kept(tmp_path, then[0])
    assert restore.units_of(generation) == [planned]
    order[:] = [1, 0, 3, 2]
    (now,), doubts = device_nodes.resolve(restore.units_of(generation), {})
    assert not doubts
    assert [n for n in range(4) if f"DeviceAllow=/dev/nvidia{n} rw" in now.text] == [1, 3]
    assert not edited(now.text)


def test_a_manifest_that_names_no_service_is_read_from_the_unit(unit: Any, tmp_path: Path) -> None:
    generation = kept(tmp_path, unit(kind="embedding", port=8010))
    path = tmp_path / "1" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["plan"], manifest["units"]["vllm-m.service"]["service"]
    path.write_text(json.dumps(manifest))
    (generation,) = generations.read_generations(tmp_path)
    (again,) = restore.units_of(generation)
    (service,) = parse_services([again.service])
    assert (service.kind, service.port, service.served_names) == ("embedding", 8010, ("m",))
    assert service.prove.key


def test_what_is_gone_from_the_host_is_named_at_once(unit: Any, tmp_path: Path) -> None:
    there = tmp_path / "weights"
    there.mkdir()
    texts = {
        "vllm-a.service": unit(name="a", release="0.30.0", weights=str(there)).text,
        "vllm-b.service": unit({"lora-modules": "l=/srv/lora"}, name="b", weights="/srv/gone").text,
    }
    lines = restore.refusals(4, texts, list(texts))
    assert [line.count("generation 4") for line in lines] == [1, 1]
    assert "vllm-a.service needs /opt/vllm/0.30.0/.complete.json, " in lines[0]
    assert "/opt/vllm/0.32.0/.complete.json, /srv/gone, /srv/lora, " in lines[1]
    # What keeps running needs nothing.
    assert not restore.refusals(4, texts, [])


def test_an_installed_unit_is_asked_what_it_was_planned_to_prove(unit: Any, tmp_path: Path) -> None:
    planned = unit(prove={"kind": "chat", "meaning": True, "max_model_len": 16})
    generation = kept(tmp_path, planned)
    (known,) = host_extras.endpoints({planned.unit: planned.text}, [generation])
    assert known["prove"]["max_model_len"] == 16
    # Edited by hand, or older than any generation: its answers may mean nothing.
    edit = planned.text.replace("--port 8001", "--port 8002")
    (unknown,) = host_extras.endpoints({planned.unit: edit}, [generation])
    assert (unknown["port"], unknown["name"], unknown["prove"]["meaning"]) == (8002, "m", False)
    assert host_extras.endpoints({"vllm-odd.service": "[Service]\n"}, []) == []


def test_the_kept_generations_are_told_beside_the_installed_one(unit: Any, tmp_path: Path) -> None:
    first, second = unit(), unit({"max-model-len": "16k"})
    kept(tmp_path, first)
    kept(tmp_path, second)
    generations.set_outcome(tmp_path, 2, "failed")
    told = host_extras.generation({first.unit: first.text}, generations.read_generations(tmp_path))
    assert told["current"] == 1
    assert [(each["number"], each["outcome"]) for each in told["kept"]][-1] == (2, "failed")
    assert (told["kept"][-1]["plan"], told["kept"][-1]["releases"]) == ("plan", told["kept"][0]["releases"])
    assert host_extras.generation({}, []) == {"current": 0, "kept": []}


@pytest.mark.parametrize(
    ("service", "timer", "told"),
    [
        ({"LoadState": "not-found"}, {}, None),
        ({"ActiveState": "inactive"}, {"ActiveState": "active"}, {"runs": True, "failed": False, "complaints": []}),
        ({"ActiveState": "failed"}, {"ActiveState": "active"}, {"runs": True, "failed": True, "complaints": ["ill"]}),
        ({"ActiveState": "inactive"}, {}, {"runs": False, "failed": False, "complaints": []}),
    ],
)
def test_the_canary_is_told_with_what_it_complains_of(
    service: Any, timer: Any, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = {host_extras.CANARY: service, host_extras.CANARY_TIMER: timer}
    monkeypatch.setattr(systemd, "show", lambda units: {u: systemd._state({"Id": u, **states[u]}) for u in units})
    monkeypatch.setattr(systemd, "journal", lambda unit, invocation: ["ill"])
    assert host_extras.canary() == told
