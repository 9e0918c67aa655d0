"""A host's gpu_mig, gpu_power_limit, gpu_clocks and gpu_compute_mode, checked before any host is touched.

Each is one value for all GPUs of the host, or a dictionary of values by GPU index.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import COMPUTE_MODES, GpuSetting
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import HOSTS, Problems, did_you_mean
from ansible_collections.baremetal.vllm.plugins.module_utils.text.values import Values
from ansible_collections.baremetal.vllm.plugins.plugin_utils.fit import gpus
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import mig
from ansible_collections.baremetal.vllm.plugins.plugin_utils.inventory.plain import whole

# The variables of a host that are read here, beside gpu_count, gpu_name, vllm_accelerator and nvidia_driver_persistence.
KEYS = ("gpu_mig", "gpu_power_limit", "gpu_clocks", "gpu_compute_mode")
_PROFILE = re.compile(r"[1-7]g\.\d{1,3}gb([+-](me|gfx)(\.all)?)?")
# Watts and MHz that no GPU has: a slip of the pen (kW, GHz, mW) is told at once, the true range when the host is reached.
_WATTS = range(20, 5001)
_MHZ = range(100, 5001)

# Reads one value: `at` is where it stands; None where it is wrong.
_Reader = Callable[[str, Any, Problems], Any]


def read_settings(declared: Values, problems: Problems, host: str = "") -> tuple[GpuSetting, ...]:
    """What a host's GPUs shall be set to, in the order of their indices; GPUs of which nothing is asked are left out."""
    asked = {key: declared[key] for key in KEYS if declared.get(key) is not None}
    if not asked:
        return ()
    wrong = Problems()
    if declared.get("vllm_accelerator") != "cuda":
        wrong.add(
            f"{HOSTS}.{next(iter(asked))}",
            f"is for NVIDIA GPUs; the accelerator of this host is {declared.get('vllm_accelerator')!r}",
            f"Take {', '.join(asked)} out, or write vllm_accelerator: cuda",
        )
    count = whole(declared.get("gpu_count"))
    found: dict[int, GpuSetting] = {}
    readers: dict[str, _Reader] = {
        "gpu_power_limit": _power_limit,
        "gpu_clocks": _clocks,
        "gpu_compute_mode": _compute_mode,
    }
    # Without a count of GPUs, of which the host's own check tells, values are checked all the same.
    for key, value in asked.items():
        of = _mig_readers(declared.get("gpu_name")) if key == "gpu_mig" else _same(readers[key])
        for index, read in _by_gpu(key, value, count, of, wrong).items():
            found[index] = replace(found.get(index, GpuSetting(index)), **{key.removeprefix("gpu_"): read})
    if _no(declared.get("nvidia_driver_persistence")) and {"gpu_power_limit", "gpu_clocks"} & set(asked):
        wrong.add(
            f"{HOSTS}.nvidia_driver_persistence",
            "is off: a GPU then forgets its power limit and clocks whenever its last program ends",
            "Take it out, or take gpu_power_limit and gpu_clocks out",
        )
    for problem in wrong.problems:
        problems.add(problem.key, problem.reason, problem.remedy, host)
    if wrong.problems or count is None:
        return ()
    return tuple(found[index] for index in sorted(found))


def _same(reader: _Reader) -> Callable[[int], _Reader]:
    return lambda __: reader


def _mig_readers(names: Any) -> Callable[[int], _Reader]:
    """For each GPU by its index; `names` is gpu_name, one for all of them or a list."""
    if not isinstance(names, (list, tuple)):
        return _same(_mig_reader(names))
    return lambda index: _mig_reader(names[index] if index < len(names) else None)


def _by_gpu(key: str, value: Any, count: int | None, of: Callable[[int], _Reader], wrong: Problems) -> dict[int, Any]:
    at = f"{HOSTS}.{key}"
    if not isinstance(value, Mapping):
        each = {index: of(index)(at, value, wrong) for index in range(max(1, count or 0))}
        return {index: read for index, read in each.items() if read is not None and index < (count or 0)}
    found = {}
    for name, item in value.items():
        index = whole(name)
        if index is None:
            wrong.add(at, f"{name!r} is not the index of a GPU", "Write indices as nvidia-smi shows them: {0: …, 1: …}")
        elif count is not None and index >= count:
            wrong.add(f"{at}.{name}", f"there is no such GPU: gpu_count is {count}", f"Write 0 to {count - 1}")
        elif item is not None:
            read = of(index)(f"{at}.{name}", item, wrong)
            found.update({} if read is None else {index: read})
    return found


def _mig_reader(name: Any) -> _Reader:
    known = gpus.find(name) if isinstance(name, str) else None
    gpu = known.name if known else ""

    def read(at: str, value: Any, wrong: Problems) -> tuple[str, ...] | None:
        # YAML reads a bare `off` as false.
        if value is False or value == "off":
            return ()
        layout = [str(item) for item in value] if isinstance(value, (list, tuple)) else []
        odd = [item for item in layout if not _PROFILE.fullmatch(item)]
        if not layout or odd:
            reason = f"{odd[0]!r} is not a profile" if odd else f"{value!r} is not a list of profiles"
            wrong.add(
                at, reason, "Write the profiles as `nvidia-smi mig -lgip` names them ([3g.40gb, 3g.40gb]), or `off`"
            )
            return None
        reason = mig.misfit(gpu, tuple(layout)) if gpu else ""
        if not reason:
            return tuple(layout)
        can = mig.cuts(gpu)
        remedy = f"GPUs that can: {', '.join(mig.cuttable())}" if can is None else "Take some out, or take smaller ones"
        wrong.add(at, reason, remedy)
        return None

    return read


def _power_limit(at: str, value: Any, wrong: Problems) -> int | None:
    watts = whole(value)
    if watts in _WATTS:
        return watts
    wrong.add(
        at, f"{value!r} is not a power limit in watts", "Write whole watts: 400 (nvidia-smi -q -d POWER has the range)"
    )
    return None


def _clocks(at: str, value: Any, wrong: Problems) -> tuple[int, int] | None:
    """One number is the highest clock; the GPU then idles as low as it likes."""
    pair = list(value) if isinstance(value, (list, tuple)) else [0, value]
    numbers = [whole(item) for item in pair]
    low, high = numbers if len(numbers) == 2 else (None, None)
    if low is not None and high is not None and high in _MHZ and (low == 0 or low in _MHZ) and low <= high:
        return low, high
    wrong.add(
        at,
        f"{value!r} is neither a clock nor a range of clocks",
        "Write MHz: 1500 (at most), or [1200, 1500] (from, to)",
    )
    return None


def _compute_mode(at: str, value: Any, wrong: Problems) -> str | None:
    mode = str(value).lower().replace("-", "_")
    if mode in COMPUTE_MODES:
        return mode
    wrong.add(at, f"{value!r} is not a compute mode", did_you_mean(str(value), COMPUTE_MODES))
    return None


def _no(value: Any) -> bool:
    return str(value).lower() in ("false", "no", "off", "0")
