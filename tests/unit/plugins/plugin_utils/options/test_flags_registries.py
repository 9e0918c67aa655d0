"""Names that stand in a registry of vLLM: connectors and tokenizer modes, by release, and those of the operator's own."""

from __future__ import annotations

from typing import Any

import pytest

OWN = {"kv_connector": "OwnConnector", "kv_connector_module_path": "own.connector"}


@pytest.mark.parametrize(
    ("version", "config", "said"),
    [
        ("0.10.0", {"kv_connector": "PyNcclConnector"}, None),
        ("0.33.0", {"kv_connector": "PyNcclConnector"}, "'PyNcclConnector' is not known to vLLM 0.33.0."),
        ("0.33.0", {"kv_connector": "NixlConector"}, 'Did you mean "NixlConnector"; one of your own'),
        ("0.33.0", {"kv_connector": "OwnConnector"}, "one of your own needs `kv_connector_module_path` beside it."),
        ("0.33.0", OWN, None),
        ("0.8.5", {"kv_connector": "NixlConnector"}, "'NixlConnector' is not known to vLLM 0.8.5."),
        ("0.33.0", {"kv_connector": "NixlConnector"}, None),
        ("0.33.0", {"kv_connector": None}, None),
    ],
)
def test_a_connector_is_one_that_the_release_registers(
    version: str, config: dict[str, Any], said: str | None, tell: Any
) -> None:
    found = tell(version, {"kv-transfer-config": {"kv_role": "kv_both", **config}}).problems
    assert [text.startswith("args.kv-transfer-config.kv_connector: ") for text in found] == [True] * (said is not None)
    assert said is None or said in found[0]


@pytest.mark.parametrize(
    ("version", "mode", "known"),
    [
        ("0.33.0", "deepseek_v41", True),
        ("0.31.0", "kimi_audio", True),
        ("0.30.0", "deepseek_v41", True),
        ("0.29.0", "deepseek_v41", False),
        ("0.24.0", "grok2", True),
        ("0.33.0", "grok2", False),
    ],
)
def test_a_tokenizer_mode_is_one_that_the_release_registers(version: str, mode: str, known: bool, tell: Any) -> None:
    assert (tell(version, {"tokenizer-mode": mode}).problems == []) is known
