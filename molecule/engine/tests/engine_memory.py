"""Runs on a host, with an engine's own Python: what vLLM itself makes of configurations, as JSON.

Usage: `python - WANTED < engine_memory.py`, where WANTED is a JSON list of `{"config": {...}, "tensor": 4, "args": {...}}`
(args of `EngineArgs`). Each model is built as vLLM builds it, on torch's meta device: its parameters have sizes and no
values, so that one of 671 billion takes half a second. Its layers are then asked what they keep, and vLLM's own planning adds
that up. Prints a list of `{"weights": bytes, "block": tokens, "length": tokens, "needed": bytes, "longest": [tokens, …]}`,
the last for 1, 4 and 16 GiB of KV cache. Writes nothing but its output and a directory that it removes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", VLLM_NO_USAGE_STATS="1", VLLM_LOGGING_LEVEL="ERROR", VLLM_CPU_KVCACHE_SPACE="1")
GIB = 2**30

with contextlib.redirect_stdout(sys.stderr):
    import torch
    import vllm.model_executor.models.registry as registry
    from vllm.config import get_layers_from_vllm_config, set_current_vllm_config
    from vllm.distributed import parallel_state
    from vllm.engine.arg_utils import EngineArgs
    from vllm.model_executor.layers.attention_layer_base import AttentionLayerBase
    from vllm.model_executor.model_loader.utils import initialize_model
    from vllm.platforms import current_platform
    from vllm.usage.usage_lib import UsageContext
    from vllm.utils.torch_utils import set_default_torch_dtype
    from vllm.v1.core import kv_cache_utils

    logging.disable(logging.CRITICAL)
# vLLM looks at a model's class in another process each time; here nothing is loaded that would be in the way.
registry._run_in_subprocess = lambda function: function()


def measure(directory: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    (directory / "config.json").write_text(json.dumps(wanted["config"]))
    args = EngineArgs(
        model=str(directory), tokenizer=str(directory), skip_tokenizer_init=True, enforce_eager=True, **wanted["args"]
    )
    config = args.create_engine_config(UsageContext.OPENAI_API_SERVER)
    with set_current_vllm_config(config):
        if parallel_state._TP is None:
            rendezvous = f"file://{directory.parent}/rendezvous"
            parallel_state.init_distributed_environment(1, 0, rendezvous, 0, backend="gloo")
            parallel_state.initialize_model_parallel(1, 1)
            parallel_state._EP = parallel_state._TP
        # One process stands for the first of several: layers ask the group for its size when they are made.
        parallel_state._TP.world_size = wanted["tensor"]
        with set_default_torch_dtype(config.model_config.dtype), torch.device("meta"):
            model = initialize_model(config)
        # Of a model whose layers keep a state, blocks grow until one holds it, once the layers are there.
        current_platform.update_block_size_for_backend(config)
        parallel_state._TP.world_size = 1
        specs = {}
        for name, layer in get_layers_from_vllm_config(config, AttentionLayerBase).items():
            shared = getattr(layer, "kv_sharing_target_layer_name", None)
            spec = None if shared else layer.get_kv_cache_spec(config)
            if spec is not None:
                specs[name] = spec
        # The platform without GPUs knows one layout, and would keep everything of layers that slide.
        config.scheduler_config.disable_hybrid_kv_cache_manager = False
        config.cache_config.kv_cache_layout = "LBHNC"
        groups = kv_cache_utils.get_kv_cache_groups(config, dict(specs))
        return {
            "weights": sum(p.numel() * p.element_size() for p in model.parameters()),
            "block": config.cache_config.block_size,
            "length": config.model_config.max_model_len,
            "needed": kv_cache_utils._max_memory_usage_bytes_from_groups(config, groups),
            "longest": [
                kv_cache_utils._estimate_max_model_len_from_groups(config, groups, gib * GIB) for gib in (1, 4, 16)
            ],
        }


with tempfile.TemporaryDirectory() as work, contextlib.redirect_stdout(sys.stderr):
    os.environ.update(HOME=work, XDG_CACHE_HOME=work, VLLM_CACHE_ROOT=work)
    measured = []
    for number, wanted in enumerate(json.loads(sys.argv[1])):
        directory = Path(work) / str(number)
        directory.mkdir()
        measured.append(measure(directory, wanted))
print(json.dumps(measured))
