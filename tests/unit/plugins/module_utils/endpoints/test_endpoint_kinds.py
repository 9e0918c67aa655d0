"""The table of kinds: whoever has a share in a kind knows all of them, and each is recognised by what is its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.kinds import (
    KINDS,
    by_architecture,
    by_name,
    by_task,
    by_word,
)
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Service
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.suite import probes

ROOT = Path(__file__).resolve().parents[5]
REFERENCES = ("plugins/modules/endpoint_check.py", "docs/inventory.md", "docs/verify.md")
SCRIPTS = ("vllm-canary", "vllm-wait-ready")


@pytest.mark.parametrize("kind", KINDS)
def test_each_has_a_probe_and_stands_in_every_reference(kind: str) -> None:
    assert len(list(probes(Service("m", kind, 8000), quick=True))) == 2
    assert [page for page in REFERENCES if kind not in (ROOT / page).read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_that_run_alone_know_every_path(script: str) -> None:
    text = (ROOT / "templates/usr/local/libexec" / script).read_text(encoding="utf-8")
    # A sound file is more than the wait before every start is worth.
    asked = [kind for kind in KINDS.values() if not (kind.form and script == "vllm-wait-ready")]
    assert [kind.name for kind in asked if f'"{kind.path}"' not in text] == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_its_own_path_is_open_at_a_gateway(kind: object) -> None:
    assert kind.path in kind.open_paths  # type: ignore[attr-defined]
    assert kind.runner in ("generate", "pooling")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (by_word("embed"), "embedding"),
        (by_word("reward"), ""),
        (by_word("None"), ""),
        (by_task("any-to-any"), "vision"),
        (by_task("text-ranking"), "rerank"),
        (by_task("text-to-video"), ""),
        (by_architecture("Qwen3ForCausalLM"), "chat"),
        (by_architecture("ChatGLMModel"), "embedding"),
        (by_architecture("TeleChatModel"), "chat"),
        (by_architecture("JinaEmbeddingModel"), "embedding"),
        (by_architecture("BertForSequenceClassification"), "classify"),
        (by_architecture("SomeClassificationModel"), "classify"),
        (by_architecture("Unheard"), ""),
        (by_architecture(""), ""),
        (by_name("BAAI/bge-Reranker-v2-m3", "pooling"), "rerank"),
        (by_name("BAAI/bge-reranker-v2-m3", "generate"), ""),
        (by_name("Qwen/Qwen3-ASR-1.7B", "generate"), "transcription"),
        (by_name("Org/Quasar", "generate"), ""),
    ],
)
def test_one_is_recognised(found: str, kind: str) -> None:
    assert found == kind
