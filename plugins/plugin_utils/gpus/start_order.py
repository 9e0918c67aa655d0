"""Units of a host that an engine's GPUs need."""

from __future__ import annotations

DEVICE_NODES = "nvidia-device-nodes.service"
# What must be up before an engine may look for its GPUs; units that a host does not have are passed over by systemd.
FIRST = {
    "cuda": (
        *("nvidia-persistenced.service", "nvidia-fabricmanager.service", "nvidia-imex.service"),
        *("gpu-mig.service", "gpu-settings.service", DEVICE_NODES),
    )
}
# What each start of an engine brings along: its nodes are made, or mended, where they are not as they must be.
WANTS = {"cuda": (DEVICE_NODES,)}
