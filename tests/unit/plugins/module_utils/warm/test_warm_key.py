"""Whatever compiled code depends on changes the key, and nothing else does; two hosts of one kind have one key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm import facts
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import (
    CompiledFor,
    EngineFacts,
    HostFacts,
    differences,
    digest,
    is_key,
    parts,
)
from hypothesis import given
from hypothesis import strategies as st

SERVICE = CompiledFor("0.32.0", "cuda", "/m/a", "c0ffee", {"max-num-seqs": ["256"]}, {"OMP_NUM_THREADS": "1"})
HOST = HostFacts("x86_64", "glibc 2.36", "0123", gpus=("NVIDIA H100 80GB HBM3",), driver="580")
ENGINE = EngineFacts("e1", "3.12.3", "k1")


def of(service: CompiledFor = SERVICE, host: HostFacts = HOST, engine: EngineFacts = ENGINE) -> str:
    return digest(parts(service, host, engine))


@pytest.mark.parametrize(
    "other",
    [
        {"service": replace(SERVICE, release="0.33.0")},
        {"service": replace(SERVICE, accelerator="rocm")},
        {"service": replace(SERVICE, weights="/m/b")},
        {"service": replace(SERVICE, revision="decade")},
        {"service": replace(SERVICE, options={"max-num-seqs": ["128"]})},
        {"service": replace(SERVICE, options={})},
        {"service": replace(SERVICE, environment={"OMP_NUM_THREADS": "2"})},
        {"host": replace(HOST, machine="aarch64")},
        {"host": replace(HOST, libc="glibc 2.41")},
        {"host": replace(HOST, cpu="4567")},
        {"host": replace(HOST, threads=8)},
        {"host": replace(HOST, gpus=("NVIDIA H200",))},
        {"host": replace(HOST, driver="590")},
        {"engine": replace(ENGINE, lock="e2")},
        {"engine": replace(ENGINE, python="3.12.4")},
        {"engine": replace(ENGINE, kernels="")},
    ],
    ids=str,
)
def test_each_part_makes_another_key_and_is_named(other: dict[str, Any]) -> None:
    assert of(**other) != of()
    before = parts(SERVICE, HOST, ENGINE)
    assert len(differences(before, parts(**{"service": SERVICE, "host": HOST, "engine": ENGINE, **other}))) == 1


TEXTS = st.dictionaries(st.text("abc-=,", min_size=1, max_size=4), st.lists(st.text("ab,- ", max_size=3), max_size=3))


@given(TEXTS, TEXTS)
def test_keys_are_equal_where_options_are(one: dict[str, list[str]], other: dict[str, list[str]]) -> None:
    """Neither joined words nor their order can make two command lines look alike."""
    keys = of(replace(SERVICE, options=one)), of(replace(SERVICE, options=other))
    assert (keys[0] == keys[1]) == (one == other)
    assert of(replace(SERVICE, options=dict(reversed(one.items())))) == keys[0]
    assert all(is_key(key) for key in keys)


@pytest.mark.parametrize("text", ["", "..", "a" * 63, "A" * 64, "a" * 64 + "\n", "../" + "a" * 61])
def test_what_is_no_key_names_no_directory(text: str) -> None:
    assert not is_key(text)


def test_a_difference_reads_as_a_sentence() -> None:
    changed = replace(SERVICE, options={"max-num-seqs": ["128"], "dtype": ["half"]})
    assert differences(parts(SERVICE, HOST, ENGINE), parts(changed, HOST, ENGINE)) == [
        '--dtype was not there and is ["half"]',
        '--max-num-seqs was ["256"] and is ["128"]',
    ]


CPU = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel\t\t: 143\ncpu MHz\t\t: {mhz}\nflags\t\t: {flags}\n\nprocessor\t: 1\n"


@pytest.mark.parametrize(
    ("text", "same"),
    [
        (CPU.format(mhz="2000.0", flags="fpu avx2 avx512f"), True),
        (CPU.format(mhz="3100.9", flags="avx512f fpu avx2"), True),
        (CPU.format(mhz="2000.0", flags="fpu avx2"), False),
        (CPU.format(mhz="2000.0", flags="fpu avx2 avx512f").replace("143", "85"), False),
    ],
    ids=["itself", "another clock, another order", "without an instruction", "another model"],
)
def test_a_cpu_is_what_it_can_execute(tmp_path: Path, text: str, same: bool) -> None:
    found = []
    for number, each in enumerate((CPU.format(mhz="2000.0", flags="fpu avx2 avx512f"), text)):
        root = tmp_path / str(number)
        (root / "proc").mkdir(parents=True)
        (root / "proc/cpuinfo").write_text(each)
        found.append(facts.host_facts("cpu", root))
    assert (found[0] == found[1]) == same
    assert found[0].threads > 0


VERSIONS = {
    "NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.65.06  Sun Jul 27 06:54:38 UTC 2026\nGCC version: gcc 12\n": "580",
    "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.133.20  Release Build  (dvs-builder)\n": "570",
    "": "",
}


@pytest.mark.parametrize("version", VERSIONS)
def test_nvidia_gpus_and_driver(tmp_path: Path, version: str) -> None:
    for bus in ("0000:17:00.0", "0000:65:00.0"):
        (tmp_path / "proc/driver/nvidia/gpus" / bus).mkdir(parents=True)
        information = f"Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 331\nGPU UUID: \t GPU-{bus}\n"
        (tmp_path / "proc/driver/nvidia/gpus" / bus / "information").write_text(information)
    (tmp_path / "proc/driver/nvidia/version").write_text(version)
    found = facts.host_facts("cuda", tmp_path)
    assert (found.gpus, found.driver, found.threads) == (("NVIDIA H100 80GB HBM3",), VERSIONS[version], 0)
    (tmp_path / "proc/driver/nvidia/capabilities/gpu0/mig/gi1").mkdir(parents=True)
    assert facts.host_facts("cuda", tmp_path).gpus == ("NVIDIA H100 80GB HBM3 (MIG, 1 slices)",)


def test_amd_gpus_and_driver(tmp_path: Path) -> None:
    for node, version in enumerate(("0", "90402")):
        (tmp_path / f"sys/class/kfd/kfd/topology/nodes/{node}").mkdir(parents=True)
        (tmp_path / f"sys/class/kfd/kfd/topology/nodes/{node}/properties").write_text(
            f"cpu_cores_count 0\ngfx_target_version {version}\n"
        )
    (tmp_path / "sys/module/amdgpu").mkdir(parents=True)
    (tmp_path / "sys/module/amdgpu/version").write_text("6.12.12\n")
    found = facts.host_facts("rocm", tmp_path)
    assert (found.gpus, found.driver) == (("gfx target 90402",), "6.12")


def test_an_engine_that_is_not_there_has_no_facts(tmp_path: Path) -> None:
    assert facts.engine_facts(tmp_path / "0.32.0") is None
