"""The bill of materials of an engine's image: CycloneDX 1.6 as JSON, the same bytes for the same image."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import quote

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import Pin


class Described(Protocol):
    """What an image says of itself, such as `store.Image`."""

    @property
    def release(self) -> str:
        """The release of vLLM."""

    @property
    def name(self) -> str:
        """Release, accelerator, Python and architecture."""

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""

    @property
    def tool(self) -> str:
        """What wrote the file system."""

    @property
    def lock_sha256(self) -> str:
        """Digest of the lock."""


def purl(name: str, version: str) -> str:
    """A distribution as a package URL (the type `pypi` of the purl specification: lower case, `-` for `_`; a version's `+` is
    encoded).

    >>> purl("torch", "2.9.0+cpu")
    'pkg:pypi/torch@2.9.0%2Bcpu'
    """
    return f"pkg:pypi/{quote(name.lower().replace('_', '-'))}@{quote(version, safe='.-_~:')}"


def render(image: Described, pins: Iterable[Pin]) -> str:
    """The bill as text, components sorted by name (cyclonedx.org/docs/1.6/json).

    It holds no time, and its serial number follows from the image: whoever builds that again gets this file again.
    """
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, f'sha256:{image.digest}')}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": "engine",
                "name": "vllm",
                "version": image.release,
                "description": f"Engine image {image.name}",
                "hashes": [_hash(image.digest)],
                "properties": [
                    {"name": "baremetal.vllm:lock", "value": image.lock_sha256},
                    {"name": "baremetal.vllm:tool", "value": image.tool},
                ],
            }
        },
        "components": [_component(pin) for pin in sorted(pins, key=lambda pin: pin.name)],
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


def _component(pin: Pin) -> dict[str, object]:
    named = purl(pin.name, pin.version)
    return {
        "type": "library",
        "bom-ref": named,
        "name": pin.name,
        "version": pin.version,
        "purl": named,
        # Of a lock for an index there is one for every file that it allows.
        "hashes": [_hash(value) for value in sorted(set(pin.hashes))],
    }


def _hash(sha256: str) -> dict[str, str]:
    return {"alg": "SHA-256", "content": sha256}
