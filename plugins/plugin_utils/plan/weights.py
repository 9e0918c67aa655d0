"""Where each model's files come from, and where they lie on the host."""

from __future__ import annotations

from collections.abc import Mapping

from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.fleet import Weights
from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

MODELS = "/var/lib/vllm/models"


def locate(at: str, source: Source, digests: Mapping[str, str], problems: Problems) -> Weights:
    """Where one source lies on the host, and what identifies its content. `digests`: see `Inventory`."""
    if source.origin == "hub":
        path = f"{MODELS}/hub/models--{source.model.replace('/', '--')}/{source.revision}"
        return Weights("hub", repo=source.model, revision=source.revision, path=path)
    if source.origin == "host":
        return Weights("host", path=source.model)
    digest = digests.get(source.push_from, "was not hashed")
    if len(digest) != 64:
        problems.add(
            f"{at}.push_from",
            f"{source.push_from}: {digest}",
            "Name a directory of the control node that holds the model",
        )
        return Weights("pushed")
    stem = source.push_from.rstrip("/").rpartition("/")[2]
    path = f"{MODELS}/pushed/{stem}/{digest[:16]}"
    return Weights("pushed", pushed_from=source.push_from, path=path, digest=digest)
