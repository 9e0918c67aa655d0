"""What of a service changes its compiled code: everything that is not known to be nobody's business."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.planned.service import Service
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.service import (
    OPTIONS,
    PREFIXES,
    VARIABLES,
    compiled_for,
)
from hypothesis import given
from hypothesis import strategies as st

PLACES = {
    "HOME": "/var/cache/vllm",
    "XDG_CACHE_HOME": "/var/cache/vllm",
    "VLLM_CACHE_ROOT": "/var/cache/vllm/vllm",
    "TRITON_CACHE_DIR": "/var/cache/vllm/triton",
    "TORCHINDUCTOR_CACHE_DIR": "/var/cache/vllm/torchinductor",
}


def service(*words: str, accelerator: str = "cuda", **environment: str) -> Service:
    argv = (
        "/opt/vllm/0.32.0/bin/vllm",
        "serve",
        "/m/a",
        "--host",
        "0.0.0.0",
        "--port",
        "8001",
        "--served-model-name",
        "a",
    )
    return Service(
        "a",
        accelerator=accelerator,
        release="0.32.0",
        argv=(*argv, *words),
        environment={**PLACES, **environment},
        weights="/m/a",
        revision="c0ffee",
    )


PLAIN = compiled_for(service())


@pytest.mark.parametrize(
    "other",
    [
        service("--max-num-seqs", "64"),
        service("--max-num-batched-tokens", "8k"),
        service("--max-model-len", "32k"),
        service("--dtype", "half"),
        service("--tensor-parallel-size", "2"),
        service("--enforce-eager"),
        service("--no-enable-chunked-prefill"),
        service("--compilation-config", '{"mode": 3}'),
        service("--enable-lora"),
        service("--speculative-config", '{"num_speculative_tokens": 3}'),
        service("--an-option-of-next-year"),
        service(OMP_NUM_THREADS="1"),
        service(VLLM_ATTENTION_BACKEND="FLASHINFER"),
        service(A_VARIABLE_OF_NEXT_YEAR="1"),
        replace(service(), release="0.33.0"),
        replace(service(), weights="/m/b"),
        replace(service(), revision="decade"),
        service(accelerator="rocm"),
    ],
    ids=lambda other: f"{other.argv[9:]}{sorted(other.environment.keys() - PLACES.keys())}",
)
def test_what_changes_compiled_code_counts(other: Service) -> None:
    assert compiled_for(other) not in (PLAIN, None)


@pytest.mark.parametrize(
    "other",
    [
        service("--api-key", "secret", VLLM_API_KEY="secret"),
        service("--shutdown-timeout", "60", "--uvicorn-log-level", "warning"),
        service("--served-model-name", "b", "c", "--chat-template", "/t.jinja"),
        service("--enable-auto-tool-choice", "--tool-call-parser", "hermes", "--reasoning-parser", "qwen3"),
        service("--gpu-memory-utilization", "0.5", "--kv-cache-memory-bytes", "8G"),
        service("--enable-prefix-caching"),
        service("--no-enable-prefix-caching", "--seed", "7"),
        service("--lora-modules", "x=/a", "y=/b", "--ssl-keyfile", "/k"),
        service("--port=8002", "--host=::"),
        service(CUDA_VISIBLE_DEVICES="3", GLOO_SOCKET_IFNAME="lo", NCCL_SOCKET_IFNAME="=lo", VLLM_HOST_IP="10.0.0.9"),
        service(PATH="/opt/vllm/0.32.0/bin:/bin", VLLM_LOGGING_LEVEL="DEBUG", S3_ACCESS_KEY_ID="secret"),
        replace(service(), name="b", unit="vllm-b.service", port=8002, gpus=(3,), address="10.0.0.9"),
    ],
    ids=lambda other: f"{other.argv[9:]}{sorted(other.environment.keys() - PLACES.keys())}",
)
def test_what_no_kernel_sees_does_not(other: Service) -> None:
    assert compiled_for(other) == PLAIN


WORDS = st.lists(st.text("abc019./", min_size=1, max_size=5), max_size=3)
NAMES = st.text("abcdef-", min_size=1, max_size=8).filter(lambda name: not name.startswith("-") and name not in OPTIONS)


@given(st.dictionaries(NAMES, WORDS, max_size=4), st.dictionaries(st.sampled_from(sorted(OPTIONS)), WORDS, max_size=4))
def test_only_what_matters_is_left_of_a_command(matters: dict[str, list[str]], rest: dict[str, list[str]]) -> None:
    words = [word for name, given in {**rest, **matters}.items() for word in (f"--{name}", *given)]
    found = compiled_for(service(*words))
    assert found is not None
    assert {name: list(given) for name, given in found.options.items()} == matters


@given(st.dictionaries(st.text("ABC_", min_size=1, max_size=6), st.text(max_size=3), max_size=3))
def test_of_the_environment_too(variables: dict[str, str]) -> None:
    rest = dict.fromkeys(VARIABLES - PLACES.keys(), "x") | {f"{prefix}ANY": "x" for prefix in PREFIXES}
    found = compiled_for(service(**rest, **variables))
    assert found is not None
    assert dict(found.environment) == variables


@pytest.mark.parametrize(
    ("given", "none"),
    [
        (service("--enforce-eager", accelerator="cpu"), True),
        # Triton's and FlashInfer's kernels are compiled all the same.
        (service("--enforce-eager"), False),
        (service(accelerator="cpu"), False),
        (service(VLLM_DISABLE_COMPILE_CACHE="1"), True),
        (service(TORCH_COMPILE_DISABLE="1"), True),
        (service(VLLM_CACHE_ROOT="/srv/cache"), True),
        (service(TRITON_CACHE_DIR="/srv/triton"), True),
    ],
)
def test_who_has_nothing_to_give(given: Service, none: bool) -> None:
    assert (compiled_for(given) is None) == none
