"""The texts of the two units that set GPUs, on the control node."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings import GpuSetting
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.settings_unit import (
    MIG_UNIT,
    SETTINGS_UNIT,
    unit_commands,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus.start_order import FIRST
from ansible_collections.baremetal.vllm.plugins.plugin_utils.templates import environment

TEMPLATE = "etc/systemd/system/gpu-settings.service.j2"
# Programs that hold every GPU open, and with that keep it from changing its MIG mode.
_LATER = ("nvidia-dcgm.service",)
# Slices have their entries here: NVIDIA Multi-Instance GPU User Guide, "Device Nodes and Capabilities".
_NO_SLICES = "ConditionPathExistsGlob=!/proc/driver/nvidia/capabilities/gpu*/mig/gi*"


def render_units(templates: Path, settings: Sequence[GpuSetting]) -> dict[str, str]:
    """{unit: text} of the units that these settings need."""
    template = environment(templates).get_template(TEMPLATE)
    drivers = [name for name in FIRST["cuda"] if name not in (MIG_UNIT, SETTINGS_UNIT)]
    described = {
        MIG_UNIT: ("Cut GPUs into slices (MIG)", drivers, [SETTINGS_UNIT, *_LATER], [_NO_SLICES]),
        SETTINGS_UNIT: ("Power limits, clocks and compute modes of the GPUs", [*drivers, MIG_UNIT], list(_LATER), []),
    }
    texts = {}
    for unit, commands in unit_commands(settings).items():
        description, after, before, conditions = described[unit]
        texts[unit] = template.render(
            mark=MARK,
            description=description,
            after=after,
            before=before,
            conditions=conditions,
            commands=[" ".join(argv) for argv in commands],
        )
    return texts
