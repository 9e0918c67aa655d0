"""The store of one host, what is chosen from a repository, and what people read about it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.weights import hub_errors, manifest, store
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.selection import in_units, needed_files
from ansible_collections.baremetal.vllm.plugins.module_utils.weights.space import shortage
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights import fingerprint
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.progress import Fetching, Meter, clock

HUB = {"source": "hub", "repo": "Org/Tiny", "revision": "0" * 40}


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": "{}"}, None),
        ({"params.json": "{}"}, None),
        ({"adapter_config.json": "{}"}, None),
        ({"model.Q4.gguf": ""}, None),
        ({"readme.txt": ""}, "has none of config.json"),
        (
            {"config.json": "{}", "m.safetensors.index.json": '{"weight_map": {"a": "m-1", "b": "m-2"}}', "m-1": ""},
            "lacks m-2",
        ),
        ({"config.json": "{}", "m.safetensors.index.json": "broken"}, None),
        (None, "does not exist"),
    ],
)
def test_what_a_host_must_have(tmp_path: Path, files: dict[str, str] | None, says: str | None) -> None:
    root = tmp_path / "model"
    if files is not None:
        root.mkdir()
        for name, text in files.items():
            (root / name).write_text(text)
    state = store.look({"source": "host", "path": str(root)})
    assert state.state == ("present" if says is None else "refused")
    if says:
        assert f"{root} {says}" in state.detail


def test_a_single_gguf_file_is_a_model(tmp_path: Path) -> None:
    for name, wanted in (("m.gguf", "present"), ("m.bin", "refused")):
        (tmp_path / name).write_text("")
        assert store.look({"source": "host", "path": str(tmp_path / name)}).state == wanted


@pytest.fixture
def pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], manifest.Manifest]:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "source"
    (source / "sub").mkdir(parents=True)
    (source / "config.json").write_text("{}")
    (source / "sub" / "model.safetensors").write_bytes(b"weights")
    digest, whole = fingerprint.fingerprint(str(source))
    path = tmp_path / "store" / "pushed" / "tiny" / digest[:16]
    return {"source": "pushed", "from": str(source), "path": str(path), "digest": digest}, whole


def send(item: dict[str, Any], names: list[str], staging: str) -> None:
    for name in names:
        Path(staging, name).write_bytes(Path(item["from"], name).read_bytes())
        os.chmod(os.path.join(staging, name), 0o600)


def test_a_pushed_model_is_never_half_there(pushed: Any) -> None:
    item, whole = pushed
    assert store.look(item).state == "absent"
    staging, names = store.prepare(item, whole, -1)
    assert sorted(names) == ["config.json", "sub/model.safetensors"]
    send(item, ["config.json"], staging)
    assert store.look(item).state == "absent"
    # The second attempt sends only what is missing; strangers do not come along.
    assert store.prepare(item, whole, -1)[1] == ["sub/model.safetensors"]
    send(item, ["sub/model.safetensors"], staging)
    Path(staging, "stranger").write_text("")
    assert store.adopt_pushed(item, whole) == []
    assert store.look(item, verify=True).state == "present"
    assert not os.path.exists(os.path.join(item["path"], "stranger"))
    assert os.stat(os.path.join(item["path"], "config.json")).st_mode & 0o777 == 0o644
    assert not os.path.exists(staging)


def test_what_arrives_wrong_is_not_taken(pushed: Any) -> None:
    item, whole = pushed
    staging, names = store.prepare(item, whole, -1)
    send(item, names, staging)
    Path(staging, "sub/model.safetensors").write_bytes(b"wrights")
    faults = store.adopt_pushed(item, whole)
    assert len(faults) == 1
    assert "sub/model.safetensors: SHA-256" in faults[0]
    assert store.look(item).state == "absent"
    assert store.prepare(item, whole, -1)[1] == ["sub/model.safetensors"]


@pytest.mark.parametrize(
    ("damage", "verify", "wanted"),
    [
        (lambda p: (p / "config.json").unlink(), False, "damaged"),
        (lambda p: (p / "config.json").write_text("{ }"), False, "damaged"),
        (lambda p: (p / "config.json").write_text("[]"), False, "present"),
        (lambda p: (p / "config.json").write_text("[]"), True, "damaged"),
        (lambda p: (p / manifest.MANIFEST).unlink(), False, "unmanaged"),
        (lambda p: (p / manifest.MANIFEST).write_text("{}"), False, "unmanaged"),
    ],
)
def test_damage_is_seen_and_repaired(pushed: Any, damage: Any, verify: bool, wanted: str) -> None:
    item, whole = pushed
    staging, names = store.prepare(item, whole, -1)
    send(item, names, staging)
    store.adopt_pushed(item, whole)
    damage(Path(item["path"]))
    assert store.look(item, verify).state == wanted
    if wanted != "present":
        for __ in range(2):
            staging, names = store.prepare(item, whole, -1)
            send(item, names, staging)
            if not store.adopt_pushed(item, whole):
                break
        assert store.look(item, verify=True).state == "present"


def test_another_digest_at_the_same_path_is_damage(pushed: Any) -> None:
    item, whole = pushed
    staging, names = store.prepare(item, whole, -1)
    send(item, names, staging)
    store.adopt_pushed(item, whole)
    assert "the plan" in store.look({**item, "digest": "0" * 64}).detail


def test_a_model_carried_by_hand_is_taken_over_when_whole(tmp_path: Path) -> None:
    item = {**HUB, "path": str(tmp_path / "model")}
    Path(item["path"]).mkdir()
    (tmp_path / "model" / "m.safetensors.index.json").write_text('{"weight_map": {"a": "m-1.safetensors"}}')
    (tmp_path / "model" / "config.json").write_text("{}")
    assert store.look(item).state == "unmanaged"
    refused = store.without_hub(item, store.look(item))
    assert (refused.state, "lacks m-1.safetensors" in refused.detail) == ("refused", True)
    (tmp_path / "model" / "m-1.safetensors").write_text("")
    assert store.without_hub(item, store.look(item)).state == "carried"
    store.adopt_carried(item)
    assert store.look(item, verify=True).state == "present"


def test_a_secret_is_for_root_only_and_written_only_when_it_differs(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "hf_token"
    assert store.write_secret(str(path), "one", dry=True)
    assert not path.exists()
    assert store.write_secret(str(path), "one", dry=False)
    assert (path.stat().st_mode & 0o777, path.read_text()) == (0o600, "one\n")
    assert not store.write_secret(str(path), "one", dry=False)
    path.chmod(0o644)
    assert store.write_secret(str(path), "one", dry=False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert store.write_secret(str(path), "two", dry=False)


@pytest.mark.parametrize(
    ("there", "wanted"),
    [
        ("config.json model.safetensors pytorch_model.bin tf_model.h5", "config.json model.safetensors"),
        ("config.json pytorch_model.bin tf_model.h5 flax_model.msgpack", "config.json pytorch_model.bin"),
        ("a.gguf b.gguf", "a.gguf b.gguf"),
        (".gitattributes README.md logo.PNG LICENSE", "LICENSE"),
        ("original/consolidated.00.pth original/params.json config.json", "config.json"),
        ("onnx/model.onnx model.onnx config.json", "config.json"),
        (
            "1_Pooling/config.json modules.json 2_Dense/model.safetensors",
            "1_Pooling/config.json modules.json 2_Dense/model.safetensors",
        ),
        (
            "tokenizer.model tekken.json chat_template.jinja modeling_x.py",
            "tokenizer.model tekken.json chat_template.jinja modeling_x.py",
        ),
        ("model.safetensors training_args.bin optimizer.pt", "model.safetensors"),
        ("pytorch_model.bin training_args.bin", "pytorch_model.bin"),
        ("", ""),
    ],
)
def test_what_an_engine_needs_of_a_repository(there: str, wanted: str) -> None:
    assert needed_files(there.split()) == wanted.split()


def test_space_needed_and_free_are_named() -> None:
    assert shortage("/srv", 10**9, free=lambda __: 10**12) is None
    assert shortage("/srv", 0, free=lambda __: 0) is None
    text = str(shortage("/srv", 145 * 10**9, free=lambda __: 80 * 10**9))
    for part in ("145.0 GB", "/srv", "80.0 GB", "model_weights_store"):
        assert part in text


def test_a_full_disk_is_said_so() -> None:
    error = OSError(errno.ENOSPC, "No space left on device")
    wrapped = RuntimeError("download failed")
    wrapped.__cause__ = error
    found = hub_errors.explain(wrapped, "Org/Tiny", "0" * 40, "http://hub", False)
    assert found.kind == "space"
    assert "the disk is full" in found.text


def test_sizes_and_times_for_people() -> None:
    assert [in_units(n) for n in (5, 2_500, 3_000_000, 145.4e9, 2e12)] == [
        "5 bytes",
        "2.5 kB",
        "3.0 MB",
        "145.4 GB",
        "2.0 TB",
    ]
    assert [clock(n) for n in (0, 61, 3_725)] == ["0:00", "1:01", "1:02:05"]


def test_progress_tells_speed_and_stays_silent_when_nothing_moves() -> None:
    def status(done: int) -> list[Fetching]:
        item: Fetching = {"repo": "Org/Tiny", "path": "/p", "state": "fetching", "total": 10**9, "done": done}
        return [{"repo": "x", "path": "/x", "state": "done", "total": 1, "done": 1}, item]

    meter = Meter("gpu1")
    assert meter.line(status(10**8), 0.0, 0) == "gpu1 | Org/Tiny (2 of 2): fetching 100.0 MB of 1.0 GB, 0:00"
    assert meter.line(status(3 * 10**8), 2.0, 2) == (
        "gpu1 | Org/Tiny (2 of 2): fetching 300.0 MB of 1.0 GB, 100.0 MB/s, 0:02"
    )
    assert meter.line(status(3 * 10**8), 4.0, 4) == ""
    assert (
        meter.line(status(3 * 10**8), 34.0, 34, always=True)
        == "gpu1 | Org/Tiny (2 of 2): fetching 300.0 MB of 1.0 GB, 0:34"
    )
