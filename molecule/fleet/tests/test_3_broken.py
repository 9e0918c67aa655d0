"""A bad start: told quickly with its cause, and what served before serves again."""

from __future__ import annotations

import re
from typing import Any

from testlab import argv, ask, generations, host, show

UNIT = "vllm-tiny-reasoning.service"


def test_a_wrong_option_never_reaches_a_host(menu: dict[str, Any], site: Any) -> None:
    menu["tiny-reasoning"]["args"] = menu["tiny-reasoning"]["args"].replace("'hermes'", "'hermes', 'max-num-seq': 7")
    before = generations(host("lab1"))
    run = site(menu)
    assert run.rc != 0
    assert "vllm_models.tiny-reasoning.args.max-num-seq: is an abbreviation of max-num-seqs" in run.text
    assert generations(host("lab1")) == before


def test_a_declared_option_that_the_engine_lacks_is_told_in_one_line_and_the_earlier_version_serves_again(
    menu: dict[str, Any], site: Any
) -> None:
    del menu["tiny-reranker"]
    others = show(host("lab2"), "vllm-tiny-vision.service", "MainPID")
    menu["tiny-reasoning"]["args"] = menu["tiny-reasoning"]["args"].replace("'hermes'", "'hermes', 'not-an-option': 7")
    run = site(menu, vllm_extra_options={"not-an-option": {}})
    assert run.rc != 0
    assert run.recap["lab1"]["failed"] == 1
    assert run.recap["lab2"]["failed"] == 0
    told = [line for line in run.text.splitlines() if f"{UNIT} did not start" in line]
    assert "unrecognized arguments: --not-an-option 7" in told[0]
    assert "its earlier version serves again" in told[0]
    # Within seconds of the process's death: the wait is not sat out.
    failed = re.search(r"tiny-reasoning\s+(\d+) s  failed: ", run.text)
    assert failed
    assert int(failed[1]) < 300
    target = host("lab1")
    state = show(target, UNIT, "ActiveState", "MainPID")
    assert state["ActiveState"] == "active"
    words = argv(target, state["MainPID"])
    assert "--not-an-option" not in words
    assert ask("lab1", int(words[words.index("--port") + 1]), "/v1/models")[0] == 200
    assert show(host("lab2"), "vllm-tiny-vision.service", "MainPID") == others
    assert generations(target)[-1]["outcome"] == "failed"
