"""What looks at the units beside a deployment comes to the deployment's own decision."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.host import systemd
from ansible_collections.baremetal.vllm.plugins.module_utils.units import host_units, observe, steps
from ansible_collections.baremetal.vllm.plugins.module_utils.units.decide import Observed
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import read_unit, with_digest

RECORD = {
    "flashinfer": "0.7.2.post1",
    "cubin": "",
    "jit_cache": "",
    "compiler": "/opt/vllm/0.33.0/cuda",
    "cuobjdump": True,
}


@pytest.mark.parametrize(
    ("record", "added"), [(RECORD, "CUDA_HOME"), ({**RECORD, "compiler": ""}, "VLLM_USE_DEEP_GEMM")]
)
def test_a_unit_that_runs_with_its_engines_kernels_is_kept(
    unit: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, record: dict[str, Any], added: str
) -> None:
    engine = tmp_path / "0.33.0"
    (engine / "cuda" / "bin").mkdir(parents=True)
    (engine / "cuda" / "bin" / "nvcc").touch()
    record = {**record, "compiler": record["compiler"] and str(engine / "cuda")}
    marker = {"release": "0.33.0", "accelerator": "cuda", "lock_sha256": "a", "python": "3", "finished_at": "t"}
    (engine / ".complete.json").write_text(json.dumps({**marker, "kernels": record}))
    drawn = unit()
    text = with_digest(drawn.text.replace(drawn.text.partition("ExecStart=")[2].partition("/bin/vllm")[0], str(engine)))
    planned = drawn.changed_to(text)
    nothing = observe.UnitsSight({}, {}, {}, True)
    (installed,) = host_units.resolve([planned], nothing)[0]
    assert added in read_unit(installed.text).environment
    state = systemd.parse_show(
        f"Id={drawn.unit}\nLoadState=loaded\nActiveState=active\nSubState=running\nUnitFileState=enabled\nMainPID=7\n"
    )[drawn.unit]
    began = tuple(read_unit(installed.text).command)
    seen = Observed(installed.text, state, installed.digest, True, installed.text, began)
    sight = observe.UnitsSight({drawn.unit: seen}, {drawn.unit: installed.text}, {drawn.unit: state}, True)
    monkeypatch.setattr(observe, "observe", lambda names, identity: sight)
    assert steps.steps_of([planned]) == {drawn.unit: {"verb": "keep", "active": "active"}}
