"""Unit files of planned services: devices, order and digests. That systemd reads them as meant is shown in molecule."""

from __future__ import annotations

import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import jinja2
import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.units.planned import MARK, PlannedUnit
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitdiff import kind_of
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import DIGEST, read_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.fleet import Inventory, plan_fleet
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.menu import read_menu
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.unit import render_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import read_services

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"
LOADER = jinja2.FileSystemLoader(TEMPLATES)
TEMPLATE = jinja2.Environment(
    loader=LOADER, undefined=jinja2.StrictUndefined, keep_trailing_newline=True, trim_blocks=True, lstrip_blocks=True
).get_template("etc/systemd/system/vllm-model.service.j2")


def units(accelerator: str = "cuda", **models: dict[str, Any]) -> dict[str, PlannedUnit]:
    menu = {name.replace("_", "-"): {"model": "/srv/m", "kind": "chat", **entry} for name, entry in models.items()}
    host = {"vllm_accelerator": accelerator, "vllm_version": "0.33.0", "gpu_count": 8}
    outcome = plan_fleet(Inventory(menu=read_menu(menu), hosts={"h": host}, match=lambda pattern: ["h"], keyed=True))
    assert not outcome.problems
    services = read_services(outcome.plan["hosts"]["h"]["services"])
    return {s.name: render_unit(TEMPLATE, s, "/etc/vllm/secrets/api_key.env") for s in services}


def settings(unit: PlannedUnit, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.text.splitlines() if line.startswith(f"{key}=")]


def test_a_unit_sees_its_own_gpus_and_no_other_device() -> None:
    unit = units(m={"gpus": [2, 5]})["m"]
    assert settings(unit, "DevicePolicy") == ["closed"]
    assert [d for d in settings(unit, "DeviceAllow") if d[11].isdigit()] == ["/dev/nvidia2 rw", "/dev/nvidia5 rw"]
    assert settings(unit, "X-GPUs") == ["2,5"]


def test_a_units_kind_is_read_from_its_line_and_where_that_is_missing_from_the_wait() -> None:
    text = units(m={})["m"].text
    assert text.count("X-Kind=chat\n") == 1
    assert kind_of(read_unit(text.replace("X-Kind=chat", "X-Kind=vision"))) == "vision"
    assert kind_of(read_unit(text.replace("X-Kind=chat\n", ""))) == "chat"
    assert kind_of(read_unit("[Service]\nExecStart=/bin/true\n")) == ""


def test_a_unit_waits_for_what_is_mounted_at_its_engine_and_its_weights() -> None:
    """An engine may be an image."""
    (mounts,) = settings(units(m={})["m"], "RequiresMountsFor")
    assert mounts.split() == ["/opt/vllm/0.33.0", "/srv/m"]


def test_a_process_counts_only_the_gpus_that_it_may_open() -> None:
    assert 'Environment="CUDA_VISIBLE_DEVICES=0,1"' in units(m={"gpus": [2, 5]})["m"].text
    unit = units(m={"gpus": [5, 2]})["m"]
    assert 'Environment="CUDA_VISIBLE_DEVICES=1,0"' in unit.text
    assert 'Environment="CUDA_DEVICE_ORDER=PCI_BUS_ID"' in unit.text
    assert 'Environment="HIP_VISIBLE_DEVICES=0"' in units("rocm", m={"gpus": [3]})["m"].text


@pytest.mark.parametrize(
    ("accelerator", "devices"),
    [("cpu", []), ("rocm", ["/dev/kfd rw", "/dev/dri/renderD131 rw"])],
)
def test_devices_follow_the_accelerator(accelerator: str, devices: list[str]) -> None:
    entry = {} if accelerator == "cpu" else {"gpus": [3]}
    assert settings(units(accelerator, m=entry)["m"], "DeviceAllow") == devices


RDMA = ["char-infiniband_verbs rw", "/dev/infiniband/rdma_cm rw"]
CONNECTOR = {"kv-transfer-config": {"kv_connector": "NixlConnector", "kv_role": "kv_both"}}


@pytest.mark.parametrize(
    ("args", "outward"),
    [
        ({}, False),
        ({"tensor-parallel-size": 8}, False),
        ({"data-parallel-size": 8}, False),
        ({"data-parallel-size": 8, "data-parallel-size-local": 8}, False),
        ({"distributed-executor-backend": "mp"}, False),
        (CONNECTOR, True),
        # A connector to the host's own memory goes nowhere, and events of a cache are no tensors.
        ({"kv-transfer-config": {"kv_connector": "OffloadingConnector", "kv_role": "kv_both"}}, False),
        ({"kv-events-config": {"enable_kv_cache_events": True}}, False),
        ({"ec-transfer-config": {"ec_connector": "ECMooncakeConnector", "ec_role": "ec_consumer"}}, True),
        ({"data-parallel-size": 2, "data-parallel-rank": 0}, True),
        ({"tensor-parallel-size": 8, "distributed-executor-backend": "ray"}, True),
        ({"data-parallel-size": 16, "data-parallel-size-local": 8}, True),
    ],
)
def test_only_engines_that_talk_to_other_hosts_may_open_rdma_and_imex(args: dict[str, Any], outward: bool) -> None:
    unit = units(m={"gpus": list(range(8)), "args": args})["m"]
    allowed = settings(unit, "DeviceAllow")
    assert [device for device in allowed if "infiniband" in device] == (RDMA if outward else [])
    # One pattern more or less: systemd matches names of /proc/devices as fnmatch(3) does.
    assert any(fnmatch("nvidia-caps-imex-channels", name) for name in classes(allowed)) is outward
    assert any(fnmatch("nvidia-caps", name) for name in classes(allowed))
    # What is registered with a network card is locked in memory.
    assert settings(unit, "LimitMEMLOCK") == ["infinity"]


def classes(allowed: list[str]) -> list[str]:
    return [value.split()[0].removeprefix("char-") for value in allowed if value.startswith("char-")]


def test_device_nodes_are_made_before_an_engine_starts() -> None:
    unit = units(m={"gpus": [0]})["m"]
    assert "nvidia-device-nodes.service" in settings(unit, "Wants")[0].split()
    after = settings(unit, "After")[0].split()
    assert {"nvidia-device-nodes.service", "nvidia-fabricmanager.service", "nvidia-imex.service"} <= set(after)
    assert "nvidia-device-nodes.service" not in units("rocm", m={"gpus": [0]})["m"].text


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd here")
def test_engines_and_what_comes_before_them_are_no_circle(tmp_path: Path) -> None:
    unit = units(m={"gpus": [0]})["m"]
    (tmp_path / unit.unit).write_text(unit.text)
    for name in ("nvidia-device-nodes.service", "nvidia-persistenced.service"):
        (tmp_path / name).write_text((TEMPLATES / "etc/systemd/system" / name).read_text(encoding="utf-8"))
    paths = [str(path) for path in sorted(tmp_path.iterdir())]
    done = subprocess.run(["systemd-analyze", "verify", *paths], capture_output=True, text=True, check=False)
    # The programs are not here; that the units were read is told by their lack.
    assert "vllm-m.service" in done.stderr
    assert not re.search(r"ordering cycle|Unknown (key|lvalue|section)|Invalid|bad unit", done.stderr), done.stderr


def test_neighbours_on_one_gpu_are_ordered_and_do_not_restart_each_other() -> None:
    alone = units(b={"gpus": [0], "args": {"gpu-memory-utilization": 0.4}})["b"]
    shared = units(a={"gpus": [0]}, b={"gpus": [0], "args": {"gpu-memory-utilization": 0.4}})["b"]
    assert "vllm-a.service" in settings(shared, "After")[0]
    assert shared.text != alone.text
    assert shared.digest == alone.digest


@pytest.mark.parametrize("change", [{"args": {"seed": 1}}, {"env": {"X": "1"}}, {"gpus": [1]}, {"aliases": ["n"]}])
def test_what_a_process_depends_on_changes_its_digest(change: dict[str, Any]) -> None:
    before, after = units(m={"gpus": [0]})["m"], units(m={"gpus": [0], **change})["m"]
    assert before.digest != after.digest
    assert f'Environment="{DIGEST}={after.digest}"' in after.text


def test_a_unit_names_its_author_first_and_a_secret_nowhere() -> None:
    unit = units(m={})["m"]
    assert unit.text.startswith(MARK)
    assert "VLLM_API_KEY" not in unit.text
    assert settings(unit, "EnvironmentFile") == ["-/etc/vllm/secrets/api_key.env"]


def test_a_graceful_shutdown_has_its_time_before_systemd_cuts_it_off() -> None:
    assert settings(units(m={"args": {"shutdown-timeout": 120}})["m"], "TimeoutStopSec") == ["150"]
