"""Options of the modules that ask a model hub from the control node, as `plugin_utils.actions.hub.HUB` has them."""

from __future__ import annotations


class ModuleDocFragment:
    """`extends_documentation_fragment: baremetal.vllm.hub`."""

    DOCUMENTATION = r"""
options:
  offline:
    description: Ask no hub. C(HF_HUB_OFFLINE) in the environment does the same.
    type: bool
    default: false
  endpoint:
    description: The hub's address. By default C(HF_ENDPOINT) of the environment, else U(https://huggingface.co).
    type: str
  hf_token:
    description: A token for gated models. By default C(HF_TOKEN) of the environment.
    type: str
"""
