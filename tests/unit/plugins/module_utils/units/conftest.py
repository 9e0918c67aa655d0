"""Units as a plan would have them, for tests that change one thing about them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import PlannedUnit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.control import render_units
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"


def planned(
    args: dict[str, str | None] | None = None,
    env: dict[str, str] | None = None,
    name: str = "m",
    release: str = "0.32.0",
    accelerator: str = "cuda",
    gpus: tuple[int, ...] = (0,),
    port: int = 8001,
    weights: str = "/srv/m",
    kind: str = "chat",
    **more: Any,
) -> dict[str, Any]:
    """One service of a plan. `args`: option to its value, None for a flag."""
    engine = f"/opt/vllm/{release}"
    argv = [f"{engine}/bin/vllm", "serve", weights, "--host", "0.0.0.0", "--port", str(port)]
    argv += ["--served-model-name", name]
    for option, value in (args or {}).items():
        argv += [f"--{option}"] if value is None else [f"--{option}", value]
    own = ",".join(map(str, range(len(gpus))))
    visible = {"cuda": {"CUDA_VISIBLE_DEVICES": own}, "rocm": {"HIP_VISIBLE_DEVICES": own}}.get(accelerator, {})
    return {
        "name": name,
        "unit": f"vllm-{name}.service",
        "kind": kind,
        "accelerator": accelerator,
        "release": release,
        "argv": argv,
        "environment": {"PATH": f"{engine}/bin:/usr/bin", "HOME": "/var/cache/vllm", **visible, **(env or {})},
        "address": "0.0.0.0",
        "port": port,
        "gpus": list(gpus),
        "after": [],
        "served_names": [name],
        "weights": weights,
        "origin": weights,
        "revision": "",
        "start_timeout": 1800,
        "stop_timeout": 30,
        "outward": False,
        "prove": {},
        "memory": None,
        **more,
    }


@pytest.fixture(scope="session")
def service() -> Callable[..., dict[str, Any]]:
    return planned


@pytest.fixture(scope="session")
def unit() -> Callable[..., PlannedUnit]:
    """The rendered unit of `planned(...)`."""
    return lambda *args, **changes: render_units(TEMPLATES, read_services([planned(*args, **changes)]))[0]
