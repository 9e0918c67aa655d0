"""gpu_mig, gpu_power_limit, gpu_clocks and gpu_compute_mode as an inventory has them."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting, unusable
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import mig
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.settings_read import read_settings

HOST = {"vllm_accelerator": "cuda", "gpu_count": 2, "gpu_name": "H100-80GB"}


def read(**declared: Any) -> tuple[tuple[GpuSetting, ...], list[str]]:
    problems = Problems()
    found = read_settings({**HOST, **declared}, problems, "gpu1")
    return found, [str(problem) for problem in sorted(problems.found)]


RIGHT = [
    ({}, ()),
    ({"gpu_power_limit": None}, ()),
    ({"gpu_power_limit": 400}, (GpuSetting(0, power_limit=400), GpuSetting(1, power_limit=400))),
    ({"gpu_power_limit": "400", "gpu_count": "1"}, (GpuSetting(0, power_limit=400),)),
    ({"gpu_power_limit": {1: 300}}, (GpuSetting(1, power_limit=300),)),
    ({"gpu_power_limit": {"1": 300, "0": None}}, (GpuSetting(1, power_limit=300),)),
    ({"gpu_clocks": {0: 1500}}, (GpuSetting(0, clocks=(0, 1500)),)),
    ({"gpu_clocks": {0: [1200, "1500"]}}, (GpuSetting(0, clocks=(1200, 1500)),)),
    ({"gpu_compute_mode": {0: "EXCLUSIVE_PROCESS"}}, (GpuSetting(0, compute_mode="exclusive_process"),)),
    ({"gpu_mig": {0: ["3g.40gb", "3g.40gb"]}}, (GpuSetting(0, mig=("3g.40gb", "3g.40gb")),)),
    ({"gpu_mig": "off"}, (GpuSetting(0, mig=()), GpuSetting(1, mig=()))),
    ({"gpu_mig": {0: False, 1: ["1g.10gb+me"]}}, (GpuSetting(0, mig=()), GpuSetting(1, mig=("1g.10gb+me",)))),
    ({"gpu_mig": {0: ["2g.20gb"]}, "gpu_clocks": {0: 900}}, (GpuSetting(0, mig=("2g.20gb",), clocks=(0, 900)),)),
    # Profiles of a GPU that nobody declared are the driver's business.
    ({"gpu_mig": {0: ["1g.99gb"]}, "gpu_name": None}, (GpuSetting(0, mig=("1g.99gb",)),)),
    ({"gpu_mig": {0: ["1g.47gb"]}, "gpu_name": "GB200"}, (GpuSetting(0, mig=("1g.47gb",)),)),
    ({"gpu_power_limit": {0: 400}, "nvidia_driver_persistence": True}, (GpuSetting(0, power_limit=400),)),
]


@pytest.mark.parametrize(("declared", "expected"), RIGHT)
def test_settings_by_gpu(declared: dict[str, Any], expected: tuple[GpuSetting, ...]) -> None:
    assert read(**declared) == (expected, [])


WRONG = [
    ({"gpu_power_limit": "0.4 kW"}, "gpu1.gpu_power_limit: '0.4 kW' is not a power limit in watts"),
    ({"gpu_power_limit": True}, "gpu1.gpu_power_limit: True is not a power limit"),
    ({"gpu_power_limit": 400000}, "is not a power limit in watts"),
    ({"gpu_power_limit": {2: 400}}, "gpu1.gpu_power_limit.2: there is no such GPU: gpu_count is 2. Write 0 to 1"),
    ({"gpu_power_limit": {"first": 400}}, "'first' is not the index of a GPU"),
    ({"gpu_clocks": [1500, 1200]}, "is neither a clock nor a range of clocks"),
    ({"gpu_clocks": [1, 2, 3]}, "Write MHz: 1500 (at most), or [1200, 1500]"),
    ({"gpu_clocks": 1.5}, "1.5 is neither a clock"),
    ({"gpu_clocks": []}, "[] is neither a clock"),
    ({"gpu_compute_mode": "exclusive"}, 'Did you mean "exclusive_process"'),
    ({"gpu_mig": "3g.40gb"}, "'3g.40gb' is not a list of profiles"),
    ({"gpu_mig": []}, "[] is not a list of profiles"),
    ({"gpu_mig": ["3g"]}, "'3g' is not a profile"),
    ({"gpu_mig": ["9", "9"]}, "'9' is not a profile"),
    ({"gpu_mig": ["3g.20gb"]}, "H100-80GB has no profile 3g.20gb; it has 1g.10gb, "),
    ({"gpu_mig": ["4g.40gb", "4g.40gb"]}, "H100-80GB holds 1 of 4g.40gb at most, not 2"),
    ({"gpu_mig": ["3g.40gb", "3g.40gb", "1g.10gb"]}, "take 7 slices of compute and 9 of memory; H100-80GB has 7 and 8"),
    ({"gpu_mig": ["1g.10gb"], "gpu_name": "L40S"}, "L40S cannot be cut. GPUs that can: A30, A100-40GB"),
    (
        {"gpu_mig": ["1g.10gb"], "vllm_accelerator": "rocm"},
        "is for NVIDIA GPUs; the accelerator of this host is 'rocm'",
    ),
    ({"gpu_clocks": 900, "vllm_accelerator": "cpu", "gpu_count": 0}, "Take gpu_clocks out"),
    ({"gpu_power_limit": 400, "nvidia_driver_persistence": False}, "forgets its power limit and clocks"),
]


@pytest.mark.parametrize(("declared", "words"), WRONG)
def test_mistakes_are_named_with_their_place_and_what_to_write(declared: dict[str, Any], words: str) -> None:
    found, told = read(**declared)
    assert found == ()
    assert len(told) == 1, told
    assert words in told[0]


def test_all_mistakes_at_once() -> None:
    found, told = read(gpu_mig=["x"], gpu_power_limit={0: 1, 7: 400}, gpu_clocks="fast", gpu_compute_mode="open")
    assert found == ()
    assert [line.partition(":")[0] for line in told] == [
        "gpu1.gpu_clocks",
        "gpu1.gpu_compute_mode",
        "gpu1.gpu_mig",
        "gpu1.gpu_power_limit.0",
        "gpu1.gpu_power_limit.7",
    ]


def test_gpus_that_no_model_can_have_whole() -> None:
    settings, __ = read(
        gpu_count=4, gpu_mig={0: ["3g.40gb"], 1: "off"}, gpu_compute_mode={2: "prohibited", 3: "default"}
    )
    assert unusable(settings) == {
        0: "is cut into 3g.40gb (gpu_mig)",
        2: "lets no program compute (gpu_compute_mode: prohibited)",
    }


@pytest.mark.parametrize("name", mig.cuttable())
def test_gpus_that_can_be_cut_are_known_by_the_same_name_and_fit_their_own_profiles(name: str) -> None:
    gpu = gpus.find(name)
    assert gpu is not None
    assert gpu.name == name
    known = mig.cuts(name)
    assert known is not None
    for profile, slices in known.profiles.items():
        assert mig.misfit(name, (profile,) * slices.most) == ""
        assert mig.misfit(name, (profile,) * (slices.most + 1)) != ""
        # A profile's memory is its share of the GPU's, as the driver rounds it.
        size = int(profile.partition(".")[2].partition("gb")[0])
        assert size == pytest.approx(gpu.memory / 2**30 * slices.memory / known.memory, rel=0.25)
