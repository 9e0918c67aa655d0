"""What units are told of their engine's kernels, from the marker of the installation on the host."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import kernel_proof
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import engine_settings
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed, decide
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import (
    edited,
    read_unit,
    stated_digest,
    with_digest,
)

SAMPLER, HOME, DEEP_GEMM = "VLLM_USE_FLASHINFER_SAMPLER", "CUDA_HOME", "VLLM_USE_DEEP_GEMM"
NOTHING: dict[str, Any] = {"flashinfer": "0.7.2.post1", "cubin": "", "jit_cache": "", "compiler": "", "why": "x"}
COMPILER = {**NOTHING, "compiler": "/opt/vllm/0.33.0/cuda", "cuobjdump": True}
GONE = kernel_proof.gone


@pytest.fixture(autouse=True)
def toolkits_that_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the paths named here none is on this machine."""
    monkeypatch.setattr(kernel_proof, "gone", lambda home: False)


def installed_engine(
    root: Path, record: dict[str, Any] | None, release: str = "0.33.0", accelerator: str = "cuda"
) -> Path:
    """An engine's directory with its marker; `record` None as before there were records."""
    engine = root / release
    engine.mkdir(parents=True)
    marker: dict[str, Any] = {
        "release": release,
        "accelerator": accelerator,
        "lock_sha256": "a",
        "python": "3",
        "finished_at": "t",
    }
    (engine / ".complete.json").write_text(json.dumps(marker | ({} if record is None else {"kernels": record})))
    return engine


def sent(unit: Any, engine: Path, **environment: str) -> PlannedUnit:
    """A planned unit of this engine, with more environment of the operator's."""
    planned = unit()
    was = planned.text.partition("ExecStart=")[2].partition("/bin/vllm")[0]
    lines = "".join(f'Environment="{name}={value}"\n' for name, value in environment.items())
    text = with_digest(planned.text.replace(was, str(engine)).replace("ExecStart=", f"{lines}ExecStart=", 1))
    return planned.changed_to(text)


def told(unit: PlannedUnit) -> dict[str, str]:
    environment = read_unit(unit.text).environment
    return {name: environment[name] for name in (SAMPLER, HOME, DEEP_GEMM) if name in environment}


@pytest.mark.parametrize(
    ("record", "environment", "expected"),
    [
        (NOTHING, {}, {SAMPLER: "0", DEEP_GEMM: "0"}),
        (COMPILER, {}, {HOME: "/opt/vllm/0.33.0/cuda"}),
        ({**NOTHING, "jit_cache": "0.7.2.post1+cu130"}, {}, {DEEP_GEMM: "0"}),
        ({}, {}, {}),
        # The operator's word is the last one.
        (NOTHING, {SAMPLER: "1"}, {SAMPLER: "1", DEEP_GEMM: "0"}),
        # What many write by hand on hosts without a toolkit takes no compiler away.
        (COMPILER, {SAMPLER: "0"}, {SAMPLER: "0", HOME: "/opt/vllm/0.33.0/cuda"}),
        (NOTHING, {HOME: "/srv/cuda"}, {HOME: "/srv/cuda"}),
        (COMPILER, {HOME: "/srv/cuda"}, {HOME: "/srv/cuda"}),
        ({**COMPILER, "cuobjdump": False}, {DEEP_GEMM: "1"}, {HOME: "/opt/vllm/0.33.0/cuda", DEEP_GEMM: "1"}),
        (COMPILER, {"CUDA_PATH": "/srv/cuda"}, {}),
    ],
)
def test_a_unit_is_told_what_its_engine_proved(
    unit: Any, tmp_path: Path, record: dict[str, Any], environment: dict[str, str], expected: dict[str, str]
) -> None:
    planned = sent(unit, installed_engine(tmp_path, record), **environment)
    (resolved,) = engine_settings.resolve([planned], {}, ())
    assert told(resolved) == expected
    assert resolved.digest == stated_digest(resolved.text)
    assert not edited(resolved.text)
    if told(planned) == expected:
        assert resolved == planned


@pytest.mark.parametrize(
    ("record", "environment", "added"),
    [
        (NOTHING, {}, True),
        (NOTHING, {SAMPLER: "0"}, True),
        (COMPILER, {}, False),
        ({**NOTHING, "jit_cache": "0.7.2.post1+cu130"}, {}, False),
        (NOTHING, {HOME: "/srv/cuda"}, False),
        ({}, {}, False),
    ],
)
def test_a_command_gets_the_attention_of_an_engine_without_kernels(
    unit: Any, tmp_path: Path, record: dict[str, Any], environment: dict[str, str], added: bool
) -> None:
    planned = sent(unit, installed_engine(tmp_path, record), **environment)
    text = planned.text.replace("[Unit]\n", "[Unit]\nX-Without-Kernels=--attention-backend TRITON_ATTN\n", 1)
    planned = replace(planned, text=text)
    before = read_unit(text).command
    (resolved,) = engine_settings.resolve([planned], {}, ())
    assert read_unit(resolved.text).command == [*before, *(["--attention-backend", "TRITON_ATTN"] if added else [])]
    assert not edited(resolved.text)
    assert engine_settings.resolve([resolved], {}, ()) == [resolved]


@pytest.mark.parametrize(
    ("jit_cache", "expected"), [("", {SAMPLER: "0", DEEP_GEMM: "0"}), ("0.7.2.post1+cu130", {DEEP_GEMM: "0"})]
)
def test_a_compiler_that_was_proved_and_is_gone_is_none(
    unit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jit_cache: str, expected: dict[str, str]
) -> None:
    monkeypatch.setattr(kernel_proof, "gone", GONE)
    nvcc = tmp_path / "cuda" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.touch()
    record = {**COMPILER, "jit_cache": jit_cache, "compiler": str(tmp_path / "cuda")}
    planned = sent(unit, installed_engine(tmp_path, record))
    (there,) = engine_settings.resolve([planned], {}, ())
    assert told(there) == {HOME: str(tmp_path / "cuda")}
    nvcc.unlink()
    (gone,) = engine_settings.resolve([planned], {}, ())
    assert told(gone) == expected


def test_what_was_written_once_stays_and_restarts_nobody(unit: Any, tmp_path: Path) -> None:
    planned = sent(unit, installed_engine(tmp_path, NOTHING))
    (first,) = engine_settings.resolve([planned], {}, ())
    assert engine_settings.resolve([planned], {first.unit: first.text}, {first.unit}) == [first]
    # A generation that is gone back to has the lines already.
    assert engine_settings.resolve([first], {}, ()) == [first]
    state = systemd.parse_show(
        f"Id={first.unit}\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=7\n"
    )[first.unit]
    observed = Observed(first.text, state, first.digest, True, first.text, tuple(read_unit(first.text).command))
    step = decide(first, observed)
    assert (step.write, step.verb) == (False, "keep")


@pytest.mark.parametrize(("release", "accelerator"), [("0.20.2", "cuda"), ("0.33.0", "cpu"), ("0.33.0", "rocm")])
def test_engines_that_do_not_sample_with_flashinfer_are_left_alone(
    unit: Any, tmp_path: Path, release: str, accelerator: str
) -> None:
    planned = sent(unit, installed_engine(tmp_path, NOTHING, release, accelerator))
    assert engine_settings.resolve([planned], {}, ()) == [planned]


def test_an_engine_that_is_not_there_yet_says_nothing(unit: Any, tmp_path: Path) -> None:
    planned = sent(unit, tmp_path / "0.33.0")
    assert engine_settings.resolve([planned], {}, ()) == [planned]


@pytest.fixture
def no_cuda(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel_proof, "SYSTEM_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(kernel_proof, "DEFAULT_HOME", str(tmp_path / "none"))


def before_records(root: Path, *distributions: str) -> Path:
    engine = installed_engine(root, None)
    for name in ("flashinfer_python-0.7.2.post1", *distributions):
        (engine / "lib" / "python3.12" / "site-packages" / f"{name}.dist-info").mkdir(parents=True)
    return engine


@pytest.mark.usefixtures("no_cuda")
def test_an_engine_from_before_is_looked_at_and_what_serves_stays(unit: Any, tmp_path: Path) -> None:
    planned = sent(unit, before_records(tmp_path))
    name, text = planned.unit, planned.text
    # What serves without the variable goes on without it; what fails, or is new, gets it, and keeps it from then on.
    assert engine_settings.resolve([planned], {name: text}, {name}) == [planned]
    (fails,) = engine_settings.resolve([planned], {name: text}, ())
    (new,) = engine_settings.resolve([planned], {}, ())
    assert told(fails) == told(new) == {SAMPLER: "0", DEEP_GEMM: "0"}
    assert engine_settings.resolve([planned], {name: fails.text}, {name}) == [fails]


@pytest.mark.usefixtures("no_cuda")
def test_an_engine_from_before_with_kernels_samples_with_them(unit: Any, tmp_path: Path) -> None:
    planned = sent(unit, before_records(tmp_path, "flashinfer_jit_cache-0.7.2.post1+cu130"))
    (resolved,) = engine_settings.resolve([planned], {}, ())
    assert told(resolved) == {DEEP_GEMM: "0"}


def test_an_engine_from_before_on_a_host_with_its_own_toolkit_needs_nothing(
    unit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nvcc = tmp_path / "cuda" / "bin" / "nvcc"
    nvcc.parent.mkdir(parents=True)
    nvcc.write_text("#!/bin/sh\necho 'Cuda compilation tools, release 13.0, V13.0.88'\n")
    nvcc.chmod(0o755)
    monkeypatch.setattr(kernel_proof, "SYSTEM_PATH", str(tmp_path / "none"))
    monkeypatch.setattr(kernel_proof, "DEFAULT_HOME", str(tmp_path / "cuda"))
    planned = sent(unit, before_records(tmp_path, "torch-2.11.0+cu130"))
    assert engine_settings.resolve([planned], {}, ()) == [planned]
