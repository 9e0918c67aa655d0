"""GPUs by name: however they are written, and what is told of a name that is none."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit.gpus import candidates, find, read_gpu
from hypothesis import given
from hypothesis import strategies as st

TABLE = yaml.safe_load((Path(__file__).parents[5] / "data" / "gpus.yml").read_text())["gpus"]


@pytest.mark.parametrize(
    ("written", "name"),
    [
        # As nvidia-smi --query-gpu=name prints them.
        ("NVIDIA H100 80GB HBM3", "H100-80GB"),
        ("NVIDIA H100 PCIe", "H100-80GB"),
        ("NVIDIA H100 NVL", "H100-NVL-94GB"),
        ("NVIDIA H200", "H200"),
        ("NVIDIA GH200 480GB", "GH200-96GB"),
        ("NVIDIA GH200 144G HBM3e", "GH200-144GB"),
        ("NVIDIA B200", "B200"),
        ("NVIDIA GB200", "GB200"),
        ("NVIDIA B300 SXM6 AC", "B300"),
        ("NVIDIA A100-SXM4-80GB", "A100-80GB"),
        ("NVIDIA A100 80GB PCIe", "A100-80GB"),
        ("NVIDIA A100-PCIE-40GB", "A100-40GB"),
        ("NVIDIA A10G", "A10G"),
        ("NVIDIA L40S", "L40S"),
        ("NVIDIA L4", "L4"),
        ("Tesla T4", "T4"),
        ("Tesla V100-SXM2-16GB", "V100-16GB"),
        ("Tesla V100S-PCIE-32GB", "V100-32GB"),
        ("NVIDIA GeForce RTX 4090", "RTX 4090"),
        ("NVIDIA RTX A6000", "RTX A6000"),
        ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"),
        ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", "RTX PRO 6000 Blackwell"),
        ("AMD Instinct MI300X", "MI300X"),
        # As people write them.
        ("H100-80GB", "H100-80GB"),
        ("h100_80g", "H100-80GB"),
        ("H100 SXM5 80 GB", "H100-80GB"),
        ("a100 80GiB", "A100-80GB"),
        ("rtx4090", "RTX 4090"),
        ("4090", "RTX 4090"),
        ("6000 Ada", "RTX 6000 Ada"),
        ("A6000", "RTX A6000"),
        ("B200-192GB", "B200"),
        ("mi325x", "MI325X"),
        # Consumer, workstation and embedded GPUs that people serve from.
        ("NVIDIA GeForce RTX 5080", "RTX 5080"),
        ("NVIDIA GeForce RTX 5070 Ti", "RTX 5070 Ti"),
        ("NVIDIA GeForce RTX 5090 D", "RTX 5090 D"),
        ("NVIDIA GeForce RTX 4080 SUPER", "RTX 4080"),
        ("NVIDIA GeForce RTX 4070", "RTX 4070"),
        ("NVIDIA GeForce RTX 4070 Ti SUPER", "RTX 4070 Ti SUPER"),
        ("NVIDIA GeForce RTX 3080 Ti", "RTX 3080 Ti"),
        # The size that nearly all have, or that was there first.
        ("NVIDIA GeForce RTX 3060", "RTX 3060 12GB"),
        ("3080", "RTX 3080 10GB"),
        ("NVIDIA Thor", "Thor T5000"),
        ("RTX 3080 10 GB", "RTX 3080 10GB"),
        ("3060 12GB", "RTX 3060 12GB"),
        ("RTX 4060 Ti 8G", "RTX 4060 Ti 8GB"),
        ("5060 Ti 16GB", "RTX 5060 Ti 16GB"),
        ("A2000 6GB", "RTX A2000 6GB"),
        ("Jetson AGX Orin 32GB", "AGX Orin 32GB"),
        ("Orin 64GB", "AGX Orin 64GB"),
        ("NVIDIA GeForce RTX 3060 Ti", "RTX 3060 Ti"),
        ("RTX 4090 48GB", "RTX 4090 48GB"),
        ("NVIDIA RTX PRO 4000 Blackwell", "RTX PRO 4000 Blackwell"),
        ("NVIDIA RTX PRO 5000 Blackwell", "RTX PRO 5000 Blackwell"),
        ("NVIDIA H20-3e", "H20-3e"),
        ("AGX Thor", "Thor T5000"),
        ("Jetson T4000", "Thor T4000"),
        ("AMD Radeon 8060S", "Radeon 8060S"),
    ],
)
def test_a_gpu_is_found_under_every_spelling(written: str, name: str) -> None:
    found = find(written)
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize(
    ("written", "names"),
    [
        ("A100", {"A100-40GB", "A100-80GB"}),
        ("V100", {"V100-16GB", "V100-32GB"}),
        ("H100", {"H100-80GB", "H100-96GB", "H100-NVL-94GB"}),
        ("GH200", {"GH200-96GB", "GH200-144GB"}),
        # What the driver says for both sizes, and none of their relatives.
        ("NVIDIA GeForce RTX 4060 Ti", {"RTX 4060 Ti 8GB", "RTX 4060 Ti 16GB"}),
        ("4060ti", {"RTX 4060 Ti 8GB", "RTX 4060 Ti 16GB"}),
        ("RTX 5060 Ti", {"RTX 5060 Ti 8GB", "RTX 5060 Ti 16GB"}),
        ("NVIDIA RTX A2000", {"RTX A2000 6GB", "RTX A2000 12GB"}),
        ("AGX Orin", {"AGX Orin 32GB", "AGX Orin 64GB"}),
        ("Orin NX", {"Orin NX 8GB", "Orin NX 16GB"}),
        ("Orin Nano", {"Orin Nano 4GB", "Orin Nano 8GB"}),
        ("RTX 6000", {"Quadro RTX 6000", "RTX 6000 Ada", "RTX PRO 6000 Blackwell"}),
    ],
)
def test_a_name_that_leaves_the_memory_open_is_not_guessed(written: str, names: set[str]) -> None:
    assert find(written) is None
    assert {gpu.name for gpu in candidates(written)} == names


@pytest.mark.parametrize(
    ("written", "mebibytes", "capability"),
    [
        ("H100-80GB", 81559, (9, 0)),
        ("H200", 143771, (9, 0)),
        ("B200", 183359, (10, 0)),
        ("A100-80GB", 81920, (8, 0)),
        ("L4", 23034, (8, 9)),
        ("T4", 15360, (7, 5)),
        ("RTX 5090", 32607, (12, 0)),
    ],
)
def test_memory_is_what_the_driver_states(written: str, mebibytes: int, capability: tuple[int, int]) -> None:
    found = find(written)
    assert found is not None
    assert (found.memory, found.nominal, found.capability) == (mebibytes * 2**20, False, capability)


@pytest.mark.parametrize(
    ("written", "gib"),
    [
        # "has a total capacity of", "Free memory on device (…/…)": data/gpus.yml says which are seen and which follow a rule.
        ("A100-80GB", 79.25),
        ("H100-80GB", 79.19),
        ("H200", 139.80),
        ("B200", 178.35),
        ("GB200", 184.31),
        ("B300", 268.0),
        ("GB10", 121.69),
        ("L4", 22.05),
        ("RTX 3090", 23.56),
        ("RTX 4090", 23.65),
        ("RTX A6000", 47.53),
        ("RTX PRO 6000 Blackwell", 94.97),
        ("T4", 14.58),
        ("MI300X", 192.0),
    ],
)
def test_cuda_counts_less_than_the_driver_states(written: str, gib: float) -> None:
    found = find(written)
    assert found is not None
    assert found.cuda / 2**30 == pytest.approx(gib, rel=0.01)
    assert found.cuda <= found.memory


def test_amd_gpus_have_an_architecture_and_no_cuda_capability() -> None:
    found = find("MI300X")
    assert found is not None
    assert (found.memory / 2**30, found.arch, found.capability) == (192, "gfx942", None)


@pytest.mark.parametrize("entry", TABLE, ids=lambda entry: entry["name"])
def test_every_entry_answers_to_each_of_its_names(entry: dict[str, Any]) -> None:
    found = find(entry["name"])
    assert found is not None
    assert found.name == entry["name"]
    for name in entry.get("also", []):
        # A name that leaves the memory open is in every entry that it may mean.
        sharers = {other["name"] for other in TABLE if name in (other["name"], *other.get("also", []))}
        assert {gpu.name for gpu in candidates(name)} == sharers, name


def test_a_name_without_its_size_may_mean_every_size() -> None:
    bare: dict[str, set[str]] = {}
    for entry in TABLE:
        sizeless = re.sub(r"[ -]?\d+GB$", "", entry["name"])
        if sizeless != entry["name"]:
            bare.setdefault(sizeless, set()).add(entry["name"])
    # Unless one entry says that the bare name is its own.
    owned = {name: entry["name"] for entry in TABLE for name in entry.get("also", []) if name in bare}
    for name, sized in bare.items():
        found = {gpu.name for gpu in candidates(name)}
        assert found >= sized or len(sized) == 1 or found == {owned.get(name)}, (name, found)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("A100", "gpu1.gpu_name: 'A100' may be any of 2 GPUs. Write which: A100-40GB, A100-80GB."),
        (
            "H10O-80GB",
            "gpu1.gpu_name: 'H10O-80GB' is not a GPU known here. "
            'Did you mean "H100-80GB"; or leave gpu_name out and declare gpu_memory_gib.',
        ),
        (
            "Voodoo 2",
            "gpu1.gpu_name: 'Voodoo 2' is not a GPU known here. "
            "The known ones are in data/gpus.yml; or leave gpu_name out and declare gpu_memory_gib.",
        ),
        (
            80,
            "gpu1.gpu_name: 80 is not a GPU known here. "
            "The known ones are in data/gpus.yml; or leave gpu_name out and declare gpu_memory_gib.",
        ),
    ],
)
def test_what_is_told_of_a_name_that_is_no_gpu(written: Any, message: str) -> None:
    problems = Problems()
    assert read_gpu("gpu1.gpu_name", written, problems) is None
    assert [str(problem) for problem in problems.found] == [message]


@given(st.text(max_size=60))
def test_any_text_is_one_gpu_or_a_problem(written: str) -> None:
    problems = Problems()
    found = read_gpu("gpu1.gpu_name", written, problems)
    assert (found is None) == (len(problems.found) == 1)
