"""A look at the model hub for the actions that print a revision or an entry: where it is, and what it may be asked with."""

from __future__ import annotations

import os
from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.host import proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.recipes.hub import ENDPOINT, Hub, HubFailure

# What these actions take to ask it; the doc fragment `hub` describes it.
HUB = {
    "offline": {"type": "bool", "default": False},
    "endpoint": {"type": "str"},
    "hf_token": {"type": "str", "no_log": True},
    **proxy.ARGUMENTS,
}
_TRUE = ("1", "on", "yes", "true")


def hub_of(endpoint: str | None, token: str | None, offline: bool, environ: Mapping[str, str] | None = None) -> Hub:
    """The hub of the fleet (`model_weights_endpoint`), else of the environment as huggingface_hub reads it (HF_ENDPOINT,
    HF_TOKEN, HF_HUB_OFFLINE). Raises HubFailure where nothing may be asked."""
    environ = os.environ if environ is None else environ
    where = endpoint or environ.get("HF_ENDPOINT") or ENDPOINT
    if offline or environ.get("HF_HUB_OFFLINE", "").lower() in _TRUE:
        why = "offline is set" if offline else "HF_HUB_OFFLINE is set"
        raise HubFailure("network", f"{where} was not asked ({why})")
    return Hub(where, token or environ.get("HF_TOKEN", ""))
