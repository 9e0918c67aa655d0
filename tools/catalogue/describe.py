"""`python -m …tools.catalogue.describe SOURCE`: the options and dataclasses of one release, as JSON on standard output.

Runs in a process of its own (`generate.py` starts it), because stand-ins take the place of installed packages.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import typing
from pathlib import Path
from typing import Any

from ansible_collections.baremetal.vllm.tools.catalogue.options import Options
from ansible_collections.baremetal.vllm.tools.catalogue.serve import Parser

# Names of open sets that stand in no parser: option, and where vLLM lists the names. The first place that exists counts.
# Where the parser lists names too, the registry may hold more of them: the set that types `tokenizer-mode` lags behind.
REGISTRIES = {
    "tokenizer-mode": ("vllm.tokenizers.registry:_VLLM_TOKENIZERS",),
    "quantization": ("vllm.model_executor.layers.quantization:QUANTIZATION_METHODS",),
    "load-format": ("vllm.model_executor.model_loader:LoadFormats",),
    "tool-call-parser": (
        "vllm.tool_parsers:ToolParserManager",
        "vllm.entrypoints.openai.tool_parsers:ToolParserManager",
    ),
    "reasoning-parser": ("vllm.reasoning:ReasoningParserManager",),
}
# The same for keys of dataclasses.
KEY_REGISTRIES = {
    ("KVTransferConfig", "kv_connector"): ("vllm.distributed.kv_transfer.kv_connector.factory:KVConnectorFactory",),
    ("ECTransferConfig", "ec_connector"): ("vllm.distributed.ec_transfer.ec_connector.factory:ECConnectorFactory",),
}
# Options that releases had before their names stood in a registry.
_LATER = ("tokenizer-mode",)


def describe(source: Path) -> dict[str, Any]:
    """`{"options": {name: spec}, "configs": {name: {"extra", "fields"}}, "doubts": [what could not be read]}`."""
    described = Options(Parser(source, explained=True).serve)
    options = described.describe()
    for name, places in REGISTRIES.items():
        spec = options.get(name)
        known = (spec or {}).get("suggestions", [])
        if spec is not None and not spec.get("choices") and (not known or name in _LATER):
            names = next(filter(None, map(_names, places)), [])
            if names:
                spec["suggestions"] = sorted({*known, *names})
            elif not known:
                described.doubts.append(f"--{name}: its names are in none of {', '.join(places)}")
    for (config, key), places in KEY_REGISTRIES.items():
        field = described.configs.get(config, {}).get("fields", {}).get(key)
        if field is not None:
            names = next(filter(None, map(_names, places)), [])
            if names:
                field["suggestions"] = sorted(names)
            else:
                described.doubts.append(f"{config}.{key}: its names are in none of {', '.join(places)}")
    return {"options": options, "configs": described.configs, "doubts": described.doubts}


def _names(place: str) -> list[str]:
    module, __, attribute = place.partition(":")
    try:
        registry = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return []
    if hasattr(registry, "list_registered"):
        return list(registry.list_registered())
    for held in ("tool_parsers", "reasoning_parsers", "_registry"):
        if isinstance(getattr(registry, held, None), dict):
            return list(getattr(registry, held))
    if hasattr(registry, "__members__"):
        return list(registry.__members__)
    return list(typing.get_args(registry) or registry)


if __name__ == "__main__":
    # vLLM may print while it is imported.
    with contextlib.redirect_stdout(sys.stderr):
        result = describe(Path(sys.argv[1]).resolve())
    json.dump(result, sys.stdout)
