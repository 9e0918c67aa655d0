"""What the GPUs of a host are set to, GPU by GPU; the JSON form is a list of `asdict` of these."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict

COMPUTE_MODES = ("default", "exclusive_process", "prohibited")


@dataclass(frozen=True)
class GpuSetting:
    """What is asked of the GPU with nvidia-smi's `index`; None and "" where nothing is.

    `mig` are the profiles that it is cut into ("3g.40gb"), () for a whole GPU. `power_limit` in watts, `clocks` the lowest and
    highest graphics clock in MHz, `compute_mode` one of COMPUTE_MODES.
    """

    index: int
    mig: tuple[str, ...] | None = None
    power_limit: int | None = None
    clocks: tuple[int, int] | None = None
    compute_mode: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing at all is asked of this GPU; MIG switched off, (), is something."""
        return self.mig is None and self.power_limit is None and self.clocks is None and not self.compute_mode


class SettingForm(TypedDict, total=False):
    """The JSON form of a Setting, as modules take it."""

    index: int
    mig: Sequence[str] | None
    power_limit: int | None
    clocks: Sequence[int] | None
    compute_mode: str


def from_dicts(items: Iterable[SettingForm]) -> tuple[GpuSetting, ...]:
    """Settings from their JSON form, on hosts as well as on the control node."""
    return tuple(map(_setting, items))


def _setting(item: SettingForm) -> GpuSetting:
    mig, limit, clocks = item.get("mig"), item.get("power_limit"), item.get("clocks")
    return GpuSetting(
        index=int(item["index"]),
        mig=None if mig is None else tuple(map(str, mig)),
        power_limit=None if limit is None else int(limit),
        clocks=None if clocks is None else (int(clocks[0]), int(clocks[1])),
        compute_mode=str(item.get("compute_mode") or ""),
    )


def unusable(settings: Iterable[GpuSetting]) -> dict[int, str]:
    """The GPUs that no model can have whole, and why: {index: "is cut into 3g.40gb, 3g.40gb (gpu_mig)"}.

    A unit gets whole GPUs by their index; of a GPU in MIG mode CUDA shows it one slice at most.
    """
    found = {}
    for setting in settings:
        if setting.mig:
            found[setting.index] = f"is cut into {', '.join(setting.mig)} (gpu_mig)"
        elif setting.compute_mode == "prohibited":
            found[setting.index] = "lets no program compute (gpu_compute_mode: prohibited)"
    return found
