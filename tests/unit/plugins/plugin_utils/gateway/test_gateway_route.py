"""The door's Lua against what the engine's own parsers would read: Python's json, and forms as clients write them."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from thoroughness import examples

ROUTE = Path(__file__).parents[5] / "templates/etc/haproxy/vllm/route.lua"
LIMIT = 1 << 20
STUB = b"""
actions = {}
core = { register_action = function(name, _, action) actions[name] = action end }
"""
# HAProxy's own objects, as far as the file uses them: `f` gives nil where a sample is missing, `sf` the empty string.
CALL = b"""
return function(name, body, size, media, encoding, limit)
  local set = {}
  local known = {
    req_body = function() return body end,
    req_body_len = function() return #body end,
    req_body_size = function() return size end,
    req_fhdr = function(_, header) return ({ ["content-type"] = media, ["content-encoding"] = encoding })[header] or "" end,
    req_fhdr_cnt = function(_, header)
      local value = ({ ["content-type"] = media, ["content-encoding"] = encoding })[header]
      return value and 1 or 0
    end,
  }
  actions[name]({ f = known, sf = known, set_var = function(_, key, value) set[key] = value end }, limit)
  return set["txn.model"], set["txn.refusal"]
end
"""
Door = Callable[..., "tuple[str | None, str | None]"]


@pytest.fixture(scope="module", params=["lua53", "lua54"])
def door(request: pytest.FixtureRequest) -> Door:
    lua: Any = importlib.import_module(f"lupa.{request.param}").LuaRuntime(encoding=None)
    lua.execute(STUB)
    lua.execute(ROUTE.read_bytes())
    call = lua.execute(CALL)

    def ask(
        body: bytes,
        action: str = "model_from_json",
        media: str | None = "application/json",
        encoding: str | None = None,
        size: int | None = None,
    ) -> tuple[str | None, str | None]:
        found = call(
            action.encode(),
            body,
            len(body) if size is None else size,
            media and media.encode(),
            encoding and encoding.encode(),
            str(LIMIT).encode(),
        )
        return tuple(value and value.decode() for value in found)  # type: ignore[return-value]

    return ask


def engine_reads(body: bytes) -> Any:
    """What FastAPI hands to the engine as `model`; an exception where it would answer 400."""
    return json.loads(body)["model"]


KEYS = st.one_of(
    st.sampled_from(["model", "Model", "model ", "messages", "stream", 'a"model"', "\\", ""]), st.text(max_size=6)
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=12),
    st.sampled_from(['"model": "other"', "\\", '\\"', "model", "{", "]", '","model":"x'.replace("x", "y")]),
    st.lists(st.integers() | st.floats(), max_size=4),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
NAMES = st.text(
    st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=40
).filter(lambda name: "\x7f" not in name)  # fmt: skip
STYLES = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 0, 2, "\t"]),
        "separators": st.sampled_from([None, (",", ":"), (" ,\r\n", "\t: ")]),
    }
)


@settings(max_examples=60, deadline=None)
@given(
    others=st.lists(st.tuples(KEYS.filter(lambda key: key != "model"), VALUES), max_size=5),
    name=NAMES,
    place=st.integers(0, 5),
    style=STYLES,
)
def test_every_body_that_a_client_writes_is_routed(door: Door, others: Any, name: str, place: int, style: Any) -> None:
    fields = [*others[:place], ("model", name), *others[place:]]
    body = json.dumps(dict(fields), **style).encode("utf-8", "surrogatepass")
    assert door(body) == (name, None)


def spelled(text: str, draw: Any) -> str:
    """A JSON string of `text` with any of its characters escaped, in any of the ways JSON knows."""
    pieces = []
    for char in text:
        plain = json.dumps(char, ensure_ascii=draw(st.booleans()))[1:-1]
        units = char.encode("utf-16-be", "surrogatepass")
        escaped = "".join(f"\\u{units[i : i + 2].hex()}" for i in range(0, len(units), 2))
        ways = [plain, escaped, escaped.upper().replace("\\U", "\\u")] + (["\\/"] if char == "/" else [])
        pieces.append(draw(st.sampled_from(ways)))
    return '"' + "".join(pieces) + '"'


@st.composite
def texts(draw: Any) -> bytes:
    """JSON objects as text: equal keys, escapes, blanks, and now and then a byte too many, too few, or another encoding."""
    blank = st.sampled_from(["", " ", "\n", "\t\r\n  "])
    pairs = draw(st.lists(st.tuples(KEYS, VALUES | NAMES), max_size=6))
    fields = [
        draw(blank) + spelled(key, draw) + draw(blank) + ":" + draw(blank)
        + (spelled(value, draw) if isinstance(value, str) else json.dumps(value)) + draw(blank)
        for key, value in pairs
    ]  # fmt: skip
    body = (draw(blank) + "{" + (",".join(fields) or draw(blank)) + "}" + draw(blank)).encode("utf-8", "surrogatepass")
    change = draw(st.sampled_from(["none"] * 4 + ["cut", "insert", "again", "utf-16", "utf-32", "bom"]))
    at = draw(st.integers(0, len(body)))
    if change == "cut":
        return body[:at]
    if change == "insert":
        return (
            body[:at]
            + draw(st.sampled_from([b'"', b"\\", b"{", b"}", b"]", b",", b'"model":"z",', b"\0", b"1"]))
            + body[at:]
        )
    if change == "again":
        return body + body
    if change in ("utf-16", "utf-32"):
        return body.decode("utf-8", "surrogatepass").encode(change, "surrogatepass")
    return b"\xef\xbb\xbf" + body if change == "bom" else body


@settings(max_examples=examples(120), deadline=None)
@given(body=texts())
def test_the_door_never_sees_another_model_than_the_engine(door: Door, body: bytes) -> None:
    name, refusal = door(body)
    assert (name is None) != (refusal is None)
    try:
        read = json.loads(body)
    except (ValueError, RecursionError):
        return
    if name is not None:
        assert read["model"] == name
        assert [key for key, __ in json.loads(body, object_pairs_hook=list)].count("model") == 1
    elif isinstance(read, dict):
        keys = [key for key, __ in json.loads(body, object_pairs_hook=list)]
        expected = (
            {"two_models"} if keys.count("model") > 1 else {"no_model"} if "model" not in read else {"model_not_text"}
        )
        if read.get("model") == "":
            expected.add("no_model")
        assert refusal in expected or (refusal == "not_json" and json.detect_encoding(body) != "utf-8"), body


JSON_CASES = [
    (b'{"model":"a"}', "a", None),
    (rb'{"mod\u0065l":"a"}', "a", None),
    (rb'{"\u006d\u006f\u0064\u0065\u006c":"a"}', "a", None),
    (rb'{"model":"Qwen\/Qwen"}', "Qwen/Qwen", None),
    (rb'{"model":"\ud83d\ude00"}', "\U0001f600", None),
    (b'{"messages":[{"model":"b"},"\\"model\\":"],"model":"a","x":{"model":"c"}}', "a", None),
    (b'{"prompt":[1,2, 3],"model":"a"}', "a", None),
    (b'{"a":[[],{},[{}],[1.5e3],-0.1,NaN,-Infinity,null],"model":"a"}', "a", None),
    (b'{"model":"a","model":"a"}', None, "two_models"),
    (rb'{"model":"a","mod\u0065l":"b"}', None, "two_models"),
    (b'{"model":null,"model":"a"}', None, "two_models"),
    (b'{"model":"","model":"a"}', None, "two_models"),
    (b'{"model":"a","model":{}}', None, "two_models"),
    (b"{}", None, "no_model"),
    (b'{"Model":"a"}', None, "no_model"),
    (b'{"model":""}', None, "no_model"),
    (b'{"model":["a"]}', None, "model_not_text"),
    (b'{"model":{"model":"a"}}', None, "model_not_text"),
    (b'{"model":1}', None, "model_not_text"),
    (b'{"model":"a\\n"}', None, "model_not_text"),
    (b'{"model":"a\\u0000"}', None, "model_not_text"),
    (b'{"model":"\x7f"}', None, "model_not_text"),
    (rb'{"model":"\ud83d"}', None, "model_not_text"),
    (b'{"model":"\xff"}', None, "model_not_text"),
    (b'{"model":"\xed\xa0\x80"}', None, "model_not_text"),
    (b'{"model":"' + b"a" * 256 + b'"}', "a" * 256, None),
    (b'{"model":"' + b"a" * 257 + b'"}', None, "model_not_text"),
    (b'{"model":"' + b"\\u0061" * 257 + b'"}', None, "model_not_text"),
    (b"", None, "not_json"),
    (b'["model","a"]', None, "not_json"),
    (b'"model"', None, "not_json"),
    (b'\xef\xbb\xbf{"model":"a"}', None, "not_json"),
    ('{"model":"a"}'.encode("utf-16"), None, "not_json"),
    ('{"model":"a"}'.encode("utf-16-le"), None, "not_json"),
    ('{"model":"a"}'.encode("utf-32-be"), None, "not_json"),
    (b'{"model":"a"}x', None, "not_json"),
    (b'{"model":"a"}{"model":"b"}', None, "not_json"),
    (b'{"model":"a"', None, "not_json"),
    (b'{"model":"a",}', None, "not_json"),
    (b'{,"model":"a"}', None, "not_json"),
    (b'{"model" "a"}', None, "not_json"),
    (b'{"model":"a" "b":1}', None, "not_json"),
    (b'{"x":[1,{]},"model":"a"}', None, "not_json"),
    (b'{"x":[1}],"model":"a"}', None, "not_json"),
    (b'{"x":[,],"model":"a"}', None, "not_json"),
    (b'{"x":01,"model":"a"}', None, "not_json"),
    (b'{"x":tru,"model":"a"}', None, "not_json"),
    (b"{'model':'a'}", None, "not_json"),
    (b'{model:"a"}', None, "not_json"),
    (b'{/**/"model":"a"}', None, "not_json"),
    (b'{"x":' + b"[" * 300 + b"]" * 300 + b',"model":"a"}', None, "too_complex"),
    (b'{"x":"' + b"\\" * 9001 + b'"', None, "not_json"),
    (b'{"x":"' + b"\\" * 9000 + b'","model":"a"}', "a", None),
    (b'{"x":"' + b"\\" * 9001 + b'","model":"b","y":"","model":"a"}', None, "not_json"),
    (b'{"x":"' + b"\\" * 9001 + b'","model":"a"}', None, "not_json"),
]


@pytest.mark.parametrize(("body", "name", "refusal"), JSON_CASES, ids=lambda value: repr(value)[:40])
def test_json(door: Door, body: bytes, name: str | None, refusal: str | None) -> None:
    assert door(body) == (name, refusal)


@pytest.mark.parametrize(
    ("how", "refusal"),
    [
        ({"media": None}, "media_type"),
        ({"media": "text/plain"}, "media_type"),
        ({"media": "application/jsonp"}, "media_type"),
        ({"media": "multipart/form-data; boundary=B"}, "media_type"),
        ({"encoding": "gzip"}, "encoding"),
        ({"encoding": "deflate, gzip"}, "encoding"),
        ({"size": 5000}, "too_large"),
    ],
)
def test_what_headers_and_length_tell(door: Door, how: Any, refusal: str) -> None:
    assert door(b'{"model":"a"}', **how) == (None, refusal)


def test_a_body_beyond_the_limit_is_refused(door: Door) -> None:
    assert door(b'{"model":"a","x":"' + b"a" * LIMIT + b'"}') == (None, "too_large")


@pytest.mark.parametrize("media", ["application/json; charset=utf-8", "Application/JSON", " application/json ;x=y"])
def test_spellings_of_the_content_type(door: Door, media: str) -> None:
    assert door(b'{"model":"a"}', media=media, encoding="identity") == ("a", None)


def part(disposition: str, text: str | bytes, more: str = "") -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return f"--B\r\nContent-Disposition: {disposition}\r\n{more}\r\n".encode() + data + b"\r\n"


MODEL = part('form-data; name="model"', "whisper")
FILE = part(
    'form-data; name="file"; filename="a.wav"',
    bytes(range(256)) + b'\r\nname="model"\r\n\r\nx',
    "Content-Type: audio/wav\r\n",
)
END = b"--B--\r\n"
FORM_CASES = [
    (FILE + MODEL + END, "whisper", None),
    (MODEL + FILE + b"--B--", "whisper", None),
    (part("form-data; name=\"file\"; filename=\"a\"; filename*=UTF-8''%e2%82%ac", "x") + MODEL + END, "whisper", None),
    (part("form-data; name=\"file\"; filename*=UTF-8''%e2%82%ac", "x") + MODEL + END, "whisper", None),
    (part('form-data; name="model"', "caf\u00e9", "Content-Type: text/plain; charset=utf-8\r\n") + END, "caf\u00e9", None),
    (part('form-data; name="prompt"', "") + MODEL + END, "whisper", None),
    (FILE + END, None, "no_model"),
    (part('form-data; name="model"', "") + END, None, "no_model"),
    (MODEL + MODEL + END, None, "two_models"),
    (part('form-data; name="model"', "") + MODEL + END, None, "two_models"),
    (part('form-data; name="model"; filename="m"', "whisper") + END, None, "model_not_text"),
    (part('form-data; name="model"', b"\xff") + END, None, "model_not_text"),
    (part('form-data; name="model"', "a" * 257) + END, None, "model_not_text"),
    (part('form-data; name="model"', "a\nb") + END, None, "model_not_text"),
    (MODEL, None, "bad_form"),
    (MODEL[:-2], None, "bad_form"),
    (b"preamble\r\n" + MODEL + END, None, "bad_form"),
    (MODEL + END + MODEL, None, "bad_form"),
    (MODEL + END + b"epilogue", None, "bad_form"),
    (b"", None, "bad_form"),
    (MODEL.replace(b"\r\n", b"\n") + END, None, "bad_form"),
    (part('form-data; name="x"', b"a\n--B\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nx") + MODEL + END, None, "bad_form"),
    (part('form-data; name="x"', b"a\r\n--B \r\nb") + MODEL + END, None, "bad_form"),
    (part('form-data; name="x"', b"a\r\n--Bc\r\nb") + MODEL + END, None, "bad_form"),
    (part("form-data; name*=utf-8''model", "other") + MODEL + END, None, "bad_form"),
    (part('form-data; name*0="mod"; name*1="el"', "other") + MODEL + END, None, "bad_form"),
    (part('form-data; name="mo\\del"', "other") + MODEL + END, None, "bad_form"),
    (part("form-data; name=model", "whisper") + END, "whisper", None),
    (part("form-data; name=model; filename=m", "whisper") + END, None, "model_not_text"),
    (part("form-data; name=model; name=x", "whisper") + END, None, "bad_form"),
    (part("form-data; name=mo del", "whisper") + END, None, "bad_form"),
    (part("form-data; name=mo\\del", "whisper") + END, None, "bad_form"),
    (part("form-data; name=", "whisper") + END, None, "bad_form"),
    (part("form-data; name=file; filename=a.wav; filename*=utf-8''a.wav", "RIFF") + MODEL + END, "whisper", None),
    (part('form-data; name="x"; name="model"', "other") + MODEL + END, None, "bad_form"),
    (part('attachment; name="model"', "other") + MODEL + END, None, "bad_form"),
    (part("form-data", "other") + MODEL + END, None, "bad_form"),
    (part('form-data; name="x"', "other", 'Content-Disposition: form-data; name="model"\r\n') + MODEL + END, None, "bad_form"),
    (part('form-data; name="x"', "other", "X: a\r\n folded\r\n") + MODEL + END, None, "bad_form"),
    (part('form-data; name="model"', "d2hpc3Blcg==", "Content-Transfer-Encoding: base64\r\n") + END, None, "bad_form"),
    (part('form-data; name="_charset_"', "utf-16") + MODEL + END, None, "bad_form"),
    (part('form-data; name="x"', "y") * 1001 + MODEL + END, None, "too_complex"),
    (part('form-data; name="x"', "y", f"X: {'a' * 9000}\r\n") + MODEL + END, None, "bad_form"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "name", "refusal"), FORM_CASES, ids=lambda value: repr(value)[-60:])
def test_form(door: Door, body: bytes, name: str | None, refusal: str | None) -> None:
    assert door(body, "model_from_form", "multipart/form-data; boundary=B") == (name, refusal)


@pytest.mark.parametrize(
    ("media", "name"),
    [
        ('multipart/form-data; boundary="B"', "whisper"),
        ("Multipart/Form-Data;Boundary=B", "whisper"),
        ("multipart/form-data; charset=utf-8; boundary=B", "whisper"),
        ("multipart/form-data; boundary=B; charset=UTF-8", "whisper"),
        ("multipart/form-data", None),
        ("multipart/form-data; boundary=", None),
        ("multipart/form-data; boundary=B; boundary=C", None),
        ("multipart/form-data; boundary=C; x=B", None),
        ("multipart/form-data; charset=utf-16; boundary=B", None),
        ("multipart/form-data; boundary*=utf-8''B", None),
        ("multipart/form-data; boundary=" + "B" * 71, None),
    ],
)
def test_boundary(door: Door, media: str, name: str | None) -> None:
    assert door(MODEL + END, "model_from_form", media) == (name, None if name else "bad_form")
