"""Which release an image or a requirement names, and whether an image is vLLM's own."""

from __future__ import annotations

import re

# The last part of the name begins with vllm, wherever it is mirrored: vllm/vllm-openai, rocm/vllm, nvcr.io/nvidia/vllm.
_IMAGE = re.compile(r"(?:docker://)?(?:[\w.:/-]*/)?(?P<name>vllm[\w.-]*)(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?")
_TAG = re.compile(r"v?(\d+\.\d+\.\d+(?:\.\d+)?(?:\.post\d+)?)(?![\d.]|rc|a\d|b\d|\.?dev)")
# rocm6.4.1_vllm_0.9.1_20250702
_WITHIN = re.compile(r"vllm[_-]v?(\d+\.\d+\.\d+(?:\.\d+)?(?:\.post\d+)?)(?![\d.]|rc|\.?dev)")
_REQUIREMENT = re.compile(r"vllm(?:\[[\w,-]*\])?(?:===?|@)v?(\d+\.\d+\.\d+(?:\.\d+)?(?:\.post\d+)?)(?:\+\w+)?")


def release_of(image: str) -> str | None:
    """The release that an image's tag says, "" where it says none; None where the image is not vLLM's.

    >>> release_of("vllm/vllm-openai:v0.10.1.1"), release_of("vllm/vllm-openai:latest"), release_of("redis:7")
    ('0.10.1.1', '', None)
    """
    match = _IMAGE.fullmatch(image)
    if match is None:
        return None
    tag = match["tag"] or ""
    found = _TAG.match(tag) or _WITHIN.search(tag)
    return found[1] if found else ""


def release_named(text: str) -> str:
    """The release of a requirement such as `vllm==0.11.0` or `vllm@0.11.0`, "" where it is none."""
    match = _REQUIREMENT.fullmatch(text)
    return match[1] if match else ""
