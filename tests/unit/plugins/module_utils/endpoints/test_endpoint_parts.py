"""The parts that the checks are made of: schema, media, vectors, key file, parameters."""

from __future__ import annotations

import io
import math
import struct
import wave
import zlib
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints import media
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.schema import violations
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.secret import holders, read_key
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.service import Invalid, Service, parse_services
from ansible_collections.baremetal.vllm.plugins.module_utils.endpoints.vectors import cosine, nearest, norm

OBJECT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "enum": ["Paris"]},
        "rank": {"type": "integer", "minimum": 1, "maximum": 9},
    },
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("value", "schema", "found"),
    [
        ({"city": "Paris"}, OBJECT, []),
        ({"city": "Paris", "rank": 9}, OBJECT, []),
        ({"city": "Paris", "rank": 2.0}, OBJECT, []),
        ({}, OBJECT, ["$.city is missing"]),
        ([], OBJECT, ["$ is [], not of type object"]),
        ({"city": "Rome"}, OBJECT, ['$.city is "Rome", not one of ["Paris"]']),
        ({"city": 1}, OBJECT, ["$.city is 1, not of type string"]),
        ({"city": "Paris", "rank": 0}, OBJECT, ["$.rank is 0, below 1"]),
        ({"city": "Paris", "rank": 10}, OBJECT, ["$.rank is 10, above 9"]),
        ({"city": "Paris", "rank": True}, OBJECT, ["$.rank is true, not of type integer"]),
        ({"city": "Paris", "rank": 1.5}, OBJECT, ["$.rank is 1.5, not of type integer"]),
        ({"city": "Paris", "more": 1}, OBJECT, ["$.more is not allowed"]),
        ({"more": "x"}, {"additionalProperties": {"type": "integer"}}, ['$.more is "x", not of type integer']),
        ([1, "x"], {"items": {"type": "integer"}}, ['$[1] is "x", not of type integer']),
        ([1], {"minItems": 2}, ["$ has 1 items, fewer than minItems 2"]),
        ([1, 2], {"maxItems": 1}, ["$ has 2 items, more than maxItems 1"]),
        ("abc", {"minLength": 4}, ["$ has 3 characters, fewer than minLength 4"]),
        ("abc", {"maxLength": 2}, ["$ has 3 characters, more than maxLength 2"]),
        (1, {"enum": [True]}, ["$ is 1, not one of [true]"]),
        (None, {"type": "null"}, []),
        (2, {"type": "number"}, []),
    ],
)
def test_violations(value: Any, schema: dict[str, Any], found: list[str]) -> None:
    assert violations(value, schema) == found


def test_unknown_schema_keyword_is_refused_rather_than_passed() -> None:
    with pytest.raises(ValueError, match="pattern"):
        violations("x", {"pattern": "y"})


def test_png_holds_its_pixels() -> None:
    image = media.png(3, 2, (1, 2, 3))
    assert image.startswith(b"\x89PNG\r\n\x1a\n")
    place, chunks = 8, {}
    while place < len(image):
        (length,) = struct.unpack(">I", image[place : place + 4])
        name, data = image[place + 4 : place + 8], image[place + 8 : place + 8 + length]
        assert struct.unpack(">I", image[place + 8 + length : place + 12 + length]) == (zlib.crc32(name + data),)
        chunks[name] = data
        place += 12 + length
    assert struct.unpack(">II", chunks[b"IHDR"][:8]) == (3, 2)
    assert zlib.decompress(chunks[b"IDAT"]) == (b"\x00" + b"\x01\x02\x03" * 3) * 2


def test_wav_can_be_read_back() -> None:
    with wave.open(io.BytesIO(media.wav(0.5, rate=8000))) as sound:
        assert (sound.getnchannels(), sound.getframerate(), sound.getnframes()) == (1, 8000, 4000)
        assert len(set(sound.readframes(4000))) > 10


def test_vectors() -> None:
    assert norm([3, 4]) == 5
    assert norm([math.nan, 1]) == math.inf
    assert cosine([1, 0], [2, 0]) == 1
    assert cosine([1, 0], [0, 0]) == 0
    assert nearest([1, 0], [[0, 1], [0.9, 0.1]]) == 1


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ("VLLM_API_KEY=abc\n", "abc"),
        ("# a comment\n\nOTHER=x\nVLLM_API_KEY=abc", "abc"),
        ('VLLM_API_KEY="a b"\n', "a b"),
        ("VLLM_API_KEY='a\"b'\n", 'a"b'),
        (" VLLM_API_KEY = abc \n", "abc"),
        ("VLLM_API_KEY=a=b#c\n", "a=b#c"),
        ("VLLM_API_KEY=old\nVLLM_API_KEY=new\n", "new"),
        ("VLLM_API_KEY=\n", None),
        ("OTHER_VLLM_API_KEY=abc\n", None),
        ("", None),
    ],
)
def test_key_file(tmp_path: Path, content: str, key: str | None) -> None:
    (tmp_path / "key.env").write_text(content)
    assert read_key(str(tmp_path / "key.env")) == key


def test_absent_key_file_means_no_key(tmp_path: Path) -> None:
    assert read_key(str(tmp_path / "none")) is None


def test_holders_names_the_process_and_not_the_key(tmp_path: Path) -> None:
    for pid, words in (("12", b"vllm\0serve\0--api-key\0sk-1\0"), ("13", b"sshd\0"), ("self", b"x\0sk-1\0")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "cmdline").write_bytes(words)
    assert holders("sk-1", str(tmp_path)) == ["12 (vllm)"]


def test_parse_services_takes_the_plan_as_it_is() -> None:
    planned = {
        "name": "m",
        "kind": "reasoning",
        "port": "8000",
        "address": "::",
        "argv": ["/opt/vllm/0.32.0/bin/vllm"],
        "prove": {"kind": "reasoning", "key": "true", "max_model_len": "32768", "adapters": ["a"], "meaning": "false"},
    }
    (service,) = parse_services([planned])
    assert (service.url, service.model, service.prove.reasoning, service.prove.key) == (
        "http://[::1]:8000",
        "m",
        True,
        True,
    )
    assert (service.prove.max_model_len, service.prove.adapters, service.prove.meaning) == (32768, ("a",), False)


@pytest.mark.parametrize(
    ("address", "host"),
    [("0.0.0.0", "127.0.0.1"), ("", "127.0.0.1"), ("::", "::1"), ("10.1.2.3", "10.1.2.3"), ("[fd00::1]", "fd00::1")],
)
def test_wildcard_addresses_are_reached_over_loopback(address: str, host: str) -> None:
    assert Service("m", "chat", 1, address).host == host


def test_unusable_parameters_are_told_all_at_once() -> None:
    with pytest.raises(Invalid) as told:
        parse_services([{"kind": "chat", "port": 80}, {"name": "m", "kind": "poetry", "port": "high", "prove": []}])
    assert told.value.problems == [
        "services[0].name is missing: write the name under which clients ask for the model",
        "services[1] (m).kind is 'poetry', not one of chat, reasoning, vision, embedding, rerank, score, classify, "
        "transcription",
        "services[1] (m).port is 'high', not a port number from 1 to 65535",
    ]
