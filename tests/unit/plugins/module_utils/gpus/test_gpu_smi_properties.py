"""Whatever nvidia-smi or amd-smi write, reading it gives facts, never an exception."""

from __future__ import annotations

import json
from typing import Any

from ansible_collections.baremetal.vllm.plugins.module_utils.gpus import amd, smi, smi_xml, topology
from ansible_collections.baremetal.vllm.plugins.module_utils.gpus.model import Facts
from ansible_collections.baremetal.vllm.plugins.plugin_utils.gpus import health
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_gpus import DATA, REPORTS, amd_tool, report
from thoroughness import examples

TEXTS = [report(name) for name in REPORTS]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["gpu", "asic", "bus", "vram", "value"]), inner)
    ),
    max_leaves=12,
)


@st.composite
def broken(draw: st.DrawFn) -> str:
    """A recording with a piece cut out and something else in its place."""
    text = draw(st.sampled_from(TEXTS))
    start = draw(st.integers(0, len(text)))
    end = draw(st.integers(start, min(len(text), start + 400)))
    return text[:start] + draw(st.text(max_size=12)) + text[end:]


@settings(max_examples=examples(150), deadline=None)
@given(broken(), st.integers(0, 20))
def test_any_output_of_nvidia_smi_gives_facts(text: str, returncode: int) -> None:
    read = smi.read(lambda argv: (returncode, text, ""))
    assert isinstance(read, Facts)
    assert read.gpus or read.error or returncode == 0
    health.findings(read)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(TEXTS), st.data())
def test_a_prefix_of_a_report_has_a_prefix_of_its_gpus(text: str, data: st.DataObject) -> None:
    whole, part = smi_xml.parse(text), smi_xml.parse(text[: data.draw(st.integers(0, len(text)))])
    assert whole is not None
    if part is not None:
        assert part.gpus == whole.gpus[: len(part.gpus)]


@settings(max_examples=examples(100), deadline=None)
@given(st.text(alphabet="GPU0123 \tNVX\n\x1b[4m-PIXSY:()Linkeactive", max_size=300))
def test_any_table_of_links_is_read(text: str) -> None:
    assert all("-" in pair for pair in topology.matrix(text))
    topology.links(text)


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["gpu", "asic", "limit", "numa", "links", "process_list"]), JSON), max_size=3
    ),
    JSON,
)
def test_any_json_of_amd_smi_gives_facts(entries: list[Any], other: Any) -> None:
    def run(argv: list[str]) -> tuple[int, str, str]:
        return 0, json.dumps(entries if argv[1] == "static" else other), ""

    health.findings(amd.read(run))


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(path.name for path in DATA.glob("*.json"))), st.data())
def test_a_cut_answer_of_amd_smi_gives_facts(name: str, data: st.DataObject) -> None:
    told = {verb: json.dumps(answer) for verb, answer in amd_tool(name).items()}
    cut = data.draw(st.integers(0, 400))
    health.findings(amd.read(lambda argv: (0, told.get(argv[1], "")[: -cut or None], "")))
