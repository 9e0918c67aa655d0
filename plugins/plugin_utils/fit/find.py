"""Where the files of a model may lie on the control node, so that its memory can be worked out before any download.

`hf download ORG/NAME --revision COMMIT --include '*.json'` puts enough there: the config and the index of the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.plugin_utils.weights.source import Source

# Where this collection keeps models: there when the control node is a GPU host itself.
STORE = "/var/lib/vllm/models"


def locate(source: Source, environ: Mapping[str, str], store: str = STORE, *, file: str = "config.json") -> Path | None:
    """The directory here that holds the model's config.json (or another `file`), or None.

    A pushed directory; an absolute path that exists here too; a hub id at its commit in the store, or in the cache of
    huggingface_hub ($HF_HUB_CACHE, $HF_HOME/hub, $XDG_CACHE_HOME/huggingface/hub, ~/.cache/huggingface/hub).
    """
    for directory in _candidates(source, environ, store):
        try:
            if (directory / file).is_file():
                return directory
        except (OSError, ValueError):
            continue
    return None


def _candidates(source: Source, environ: Mapping[str, str], store: str) -> list[Path]:
    if source.origin == "pushed":
        return [Path(source.push_from)]
    if source.origin == "host":
        return [Path(source.model)]
    if not source.model or not source.revision:
        return []
    folder = f"models--{source.model.replace('/', '--')}"
    cached = hub_cache(environ) / folder / "snapshots" / source.revision
    return [Path(store) / "hub" / folder / source.revision, cached]


def hub_cache(environ: Mapping[str, str]) -> Path:
    """The cache of huggingface_hub (constants.py of huggingface_hub: HF_HUB_CACHE, HF_HOME)."""
    if environ.get("HF_HUB_CACHE") or environ.get("HUGGINGFACE_HUB_CACHE"):
        return Path(environ.get("HF_HUB_CACHE") or environ["HUGGINGFACE_HUB_CACHE"]).expanduser()
    home = environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    caches = environ.get("XDG_CACHE_HOME") or f"{environ.get('HOME') or '~'}/.cache"
    return Path(caches).expanduser() / "huggingface" / "hub"
