"""What is a secret by its form or its place, and what is only as long as one."""

from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.text.safe_values import is_secret, without_secrets

KEY = "9f86d081884c7d659a2feaa0c55ad0150a08"

HIDDEN: list[tuple[str, str]] = [
    ('if curl -H "Authorization: Bearer hush" x', 'if curl -H "Authorization: Bearer …" x'),
    ("curl -H 'authorization: Basic aHVzaA==' x", "curl -H 'authorization: Basic …' x"),
    ("curl -H Authorization:hush x", "curl -H Authorization:… x"),
    ("curl -H 'X-Api-Key: hush' x", "curl -H 'X-Api-Key: …' x"),
    ('curl -d \'{"password": "hush", "a": 1}\' x', 'curl -d \'{"password": "…", "a": 1}\' x'),
    ("login --token hush --password=hush", "login --token … --password=…"),
    ('login --token "hush"', 'login --token "…"'),
    ("curl -u me:hush http://h", "curl -u me:… http://h"),
    ("curl -ume:hush http://h", "curl -ume:… http://h"),
    ("curl --user 'me:hush' http://h", "curl --user 'me:…' http://h"),
    ("sshpass -p hush ssh h", "sshpass -p … ssh h"),
    ("mysql -u me -phush db", "mysql -u me -p… db"),
    ("client -p Hush1", "client -p …"),
    ("OPENAI_KEY=hush ask", "OPENAI_KEY=… ask"),
    ("if [ ${MY_TOKEN:-hush} = x ]", "if [ ${MY_TOKEN:-…} = x ]"),
    ("curl http://u:Hunter2@h:4317/x", "curl http://…@h:4317/x"),
    ("git clone https://0123456789abcdef0123@h/x", "git clone https://…@h/x"),
    (f'test "$X" = "{KEY}"', 'test "$X" = "…"'),
    ("test $X = 3fa85f64-5717-4562-b3fc-2c963f66afa6", "test $X = …"),
    ("test $X = q83vEjRWeJC7z9Kx+T4/aB1cD2eF3gH4iJ5kL6=", "test $X = …"),
    ("test $X = hf_hushhushhushhushhush", "test $X = …"),
]

SHOWN = [
    'if curl -H "Authorization: Bearer $TOKEN" x',
    "login --token ${TOKEN} --password $(cat /run/p)",
    "--api-key is a secret and not shown: put it into a vault as vllm_api_key",
    "--token holds $T, which only the shell knows: write its value",
    "HF_TOKEN is a secret and not shown: put it into a vault as vllm_hf_token",
    "Further variables stand in /run/token: they are not here",
    "-p holds ${P:-9000}: its default is taken here",
    "Line 1 is reached if [ -p /run/x ] and mkdir -p /srv/m and ssh -p 22 h",
    "Add `revision`, the 40-digit commit of Qwen/Qwen3-235B-A22B-Instruct-2507-FP8: none is given",
    "/srv/models/RedHatAI-Llama-3.3-70B-Instruct-quantized.w8a8 lies in the volume w",
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B on /opt/vllm/0.33.0/lib/python3.12/site-packages",
    "vllm/vllm-openai@sha256:" + KEY,
    "The GPUs are given as GPU-3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "VLLM_MULTI_STREAM_GEMM_TOKEN_THRESHOLD=1024 --long-prefill-token-threshold 512 --max-num-batched-tokens 8192",
    "curl http://user@h/x http://h:80/a@b",
]


@pytest.mark.parametrize(("text", "told"), HIDDEN)
def test_a_secret_is_hidden_wherever_it_stands_in_a_text(text: str, told: str) -> None:
    assert without_secrets(text) == told
    assert without_secrets(told) == told


def test_a_long_text_is_cut_with_the_half_of_a_secret_at_its_end() -> None:
    told = without_secrets("a " * 1990 + KEY + " b" * 50_000)
    assert len(told) < 4000
    assert KEY[:8] not in told


@pytest.mark.parametrize("text", SHOWN)
def test_names_and_variables_are_told(text: str) -> None:
    assert without_secrets(text) == text


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        ("http://u:Hunter2@h:4317", True),
        ('{"endpoint": "redis://:hush@h"}', True),
        ("https://0123456789abcdef0123@h/x", True),
        ("http://u@h", False),
        ("http://h:4317/a@b", False),
        ("s3://bucket/a:b@c", False),
    ],
)
def test_a_url_with_a_password_is_a_secret(text: str, secret: bool) -> None:
    assert is_secret(text) is secret
