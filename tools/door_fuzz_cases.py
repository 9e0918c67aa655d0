"""Hostile requests for tools/door_fuzz.py, made from a seed: none of them may reach an engine.

Every case carries a marker of its own, in whatever it has of path, User-Agent, model and body. What is sent beside it to
set it up (an honest request that it hides behind) carries none. What HTTP allows a proxy to take as honest after all
(an absolute URI, folded headers, a chunk extension) is sent with something that must be refused anyway.
"""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

FORBIDDEN = (
    *(
        "/invocations",
        "/pause",
        "/resume",
        "/is_paused",
        "/metrics",
        "/docs",
        "/redoc",
        "/openapi.json",
        "/health",
        "/ping",
    ),
    *(
        "/tokenize",
        "/detokenize",
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/version",
        "/load",
        "/server_info",
    ),
    *("/sleep", "/wake_up", "/is_sleeping", "/reset_prefix_cache", "/collective_rpc", "/scale_elastic_ep", "/pooling"),
    *("/v1/chat/completions/render", "/inference/v1/generate", "/v1/messages", "/", "*", "/v1", "/v1/files", "/admin"),
)
CRLF = b"\r\n"


@dataclass(frozen=True)
class Target:
    """What honest requests at this door look like: `key` is a client's, `model` and `path` belong together."""

    host: str
    key: str
    model: str
    path: str


@dataclass(frozen=True)
class Case:
    """`pieces` are sent in order, numbers are pauses in seconds; `honest` is how many answers may be 2xx."""

    kind: str
    marker: str
    pieces: list[bytes | float]
    honest: int = 0
    answers: int = 1
    hang_up: bool = False


@dataclass
class Maker:
    """One case in the making: random choices, the marker, and requests as bytes."""

    target: Target
    marker: str
    rng: random.Random
    agent: str = field(init=False)

    def __post_init__(self) -> None:
        self.agent = f"door-fuzz {self.marker}"

    def payload(self, **changes: Any) -> dict[str, Any]:
        text = f"hello {self.marker}"
        return {
            **{"messages": [{"role": "user", "content": text}], "input": text, "prompt": text},
            **{"user": self.marker, "max_tokens": 1, "model": self.target.model},
            **changes,
        }

    def body(self, **changes: Any) -> bytes:
        return json.dumps(self.payload(**changes)).encode()

    def request(
        self,
        path: str | bytes | None = None,
        method: str | bytes = "POST",
        body: bytes | None = None,
        headers: list[bytes] | None = None,
        key: str | None = None,
        version: bytes = b"HTTP/1.1",
        media: str | None = "application/json",
        length: bytes | None = b"",
        marked: bool = True,
    ) -> bytes:
        """A request as bytes: honest but for what is given. `length` None leaves Content-Length out."""
        body = self.body() if body is None else body
        raw = self.target.path if path is None else path
        raw = raw.encode() if isinstance(raw, str) else raw
        method = method.encode() if isinstance(method, str) else method
        key = self.target.key if key is None else key
        lines = [method + b" " + raw + b" " + version, b"Host: " + self.target.host.encode()]
        if key:
            lines.append(b"Authorization: Bearer " + key.encode())
        if marked:
            lines.append(b"User-Agent: " + self.agent.encode())
        if media:
            lines.append(b"Content-Type: " + media.encode())
        if length is not None:
            lines.append(b"Content-Length: " + (length or str(len(body)).encode()))
        return CRLF.join([*lines, *(headers or []), b"", body])

    def honest(self) -> bytes:
        text = {
            "messages": [{"role": "user", "content": "hello"}],
            "input": "hello",
            "prompt": "hello",
            "max_tokens": 1,
        }
        return self.request(body=json.dumps({**text, "model": self.target.model}).encode(), marked=False)

    def refused(self, headers: list[bytes] | None = None, **more: Any) -> bytes:
        """An honest-looking request that one thing forbids: its path, its missing key, or its model."""
        way = self.rng.choice(["path", "model", "key"] if self.target.key else ["path", "model"])
        if way == "path":
            return self.request(path=self.rng.choice(FORBIDDEN), headers=headers, **more)
        if way == "key":
            return self.request(key="wrong-" + self.marker, headers=headers, **more)
        return self.request(body=self.body(model=f"unknown-{self.marker}"), headers=headers, **more)


def paths(make: Maker) -> Case:
    rng, marker = make.rng, make.marker
    path = rng.choice(FORBIDDEN)
    open_path = make.target.path
    at = rng.randrange(1, len(open_path))
    encoded = f"{open_path[:at]}%{ord(open_path[at]):02{rng.choice('xX')}}{open_path[at + 1 :]}"
    swapped = open_path[:at] + open_path[at:].swapcase()
    tried: list[str | bytes] = [
        path,
        f"{path}?m={marker}",
        f"{open_path}/..{path}",
        f"/v1/models/../..{path}",
        f"/v1/models/..%2f..{path}",
        f"/%2e%2e{path}",
        f"{open_path}/%2e%2e/%2e%2e/%2e%2e{path}",
        f"{open_path};{path}",
        f"{path}#{open_path}",
        f"{path}%00{open_path}",
        f"{path}%0d%0aX-Fuzz:%20{marker}",
        f"http://{make.target.host}{path}",
        f"https://user:{marker}@{make.target.host}{path}",
        f"//{make.target.host}{open_path}",
        f"/{open_path}",
        open_path.replace("/", "//"),
        open_path.replace("/", "/./"),
        open_path.replace("/", "\\"),
        f"{open_path}/",
        f"{open_path}%20",
        f"{open_path}%3fm={marker}",
        encoded,
        encoded.replace("%", "%25"),
        swapped if swapped != open_path else f"{open_path}x",
        f"{open_path}.json",
        f".{open_path}",
        open_path[1:],
        f"/{'a' * rng.choice([300, 8000, 70000])}{path}",
        f"{open_path}{'/..' * 2000}{path}",
        open_path.encode() + b"\x00",
        open_path.encode() + b"\xff\xfe",
        open_path.replace("/", "\u2215").encode(),
        open_path.encode() + "\u3002".encode(),
        path.encode() + b"\t",
        b"\t" + path.encode(),
    ]
    chosen = rng.choice(tried)
    return Case("path", marker, [make.request(path=chosen, method=rng.choice(["POST", "GET"]))])


def methods(make: Maker) -> Case:
    odd = [
        "GET",
        "PUT",
        "DELETE",
        "PATCH",
        "OPTIONS",
        "TRACE",
        "HEAD",
        "post",
        "P",
        "POSTS",
        "PO ST",
        "A" * 9000,
    ]
    method = make.rng.choice([*odd, "CONNECT", "PRI", "M-SEARCH", "PO\x00ST", "\x16\x03\x01"])
    return Case("method", make.marker, [make.request(method=method)])


def keys(make: Maker) -> Case:
    key, wrong = make.target.key or "x", "sk-" + make.marker
    lines = make.rng.choice(
        [
            [],
            [f"Authorization: Bearer {wrong}"],
            [f"Authorization: Bearer {key[:-1]}"],
            [f"Authorization: Bearer {key}{key[-1]}"],
            [f"Authorization: Bearer {key.swapcase()}x"],
            ["Authorization: Bearer "],
            ["Authorization:"],
            ["Authorization: Basic dXNlcjpwYXNz"],
            [f"Authorization: Basic {key}"],
            [f"Authorization: Digest username={key}"],
            [f"Authorization: {key}"],
            [f"Authorization: Bearer {wrong}, Bearer {key}"],
            [f"Authorization: Bearer {wrong}", f"Authorization: Bearer {key}"],
            [f"Authorization: Bearer {key}", f"Authorization: Bearer {wrong}"],
            [f"Authorization: Bearer {wrong}\x00{key}"],
            [f"Authorization: Bearer {'a' * make.rng.choice([5000, 70000])}"],
            [f"X-Api-Key: {key}"],
            [f"Cookie: Authorization=Bearer {key}"],
            [f"Proxy-Authorization: Bearer {key}"],
            [f"X-Vllm-Key: default {key}"],
            [f"Authorization: Bearer %{ord(key[0]):02x}{key[1:]}"],
        ]
    )
    unkeyed = Maker(Target(make.target.host, "", make.target.model, make.target.path), make.marker, make.rng)
    query = f"?api_key={key}&m={make.marker}" if make.rng.random() < 0.2 else ""
    raw = unkeyed.request(path=unkeyed.target.path + query, headers=[line.encode() for line in lines])
    return Case("key", make.marker, [raw])


def headers(make: Maker) -> Case:
    rng, path = make.rng, make.target.path.encode()
    tricks: list[list[bytes]] = [
        [b"X-Original-URL: " + path],
        [b"X-Rewrite-URL: " + path],
        [b"X-HTTP-Method-Override: POST"],
        [b"X-Vllm-Model: " + make.target.model.encode()],
        [b"x-vllm-model: " + make.target.model.encode(), b"X-Vllm-Key: default", b"X-Vllm-Refusal:"],
        [b"X-Forwarded-For: 127.0.0.1", b"X-Real-IP: 127.0.0.1", b"Forwarded: for=127.0.0.1"],
        [b"Host: other"],
        [b"Host: 127.0.0.1:8000/v1/models"],
        [b"Connection: close, Authorization, Content-Length, Host"],
        [b"Connection: upgrade, http2-settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"],
        [
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZQ==",
            b"Sec-WebSocket-Version: 13",
        ],
        [b"Expect: 100-continue"],
        [b"Expect: 200-ok"],
        [b"X-Folded: a", b" b", b"\tc"],
        [b"X-Space : a"],
        [b": nameless"],
        [b"no colon"],
        [b"X-Nul: a\x00b"],
        [b"X-CR: a\rb: c"],
        [b"X-LF: a\nContent-Length: 0"],
        [b"X-High\xff: \xff\xfe"],
        [b"X-Long: " + b"a" * rng.choice([9000, 70000, 300000])],
        [b"X-%d: a" % n for n in range(rng.choice([90, 120, 3000]))],
        [b"Trailer: Authorization", b"TE: trailers"],
        [b"Accept-Encoding: " + b"gzip," * 2000],
        [b"Range: bytes=0-,0-,0-"],
        [b"Max-Forwards: 0", b"Via: 1.1 a", b"Proxy-Connection: keep-alive"],
        [b"Content-Type: multipart/form-data; boundary=x"],
    ]
    version = rng.choice(
        [b"HTTP/1.1"] * 5 + [b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/9.9", b"HTTP/1.1 ", b"http/1.1", b""]
    )
    raw = make.refused(headers=rng.choice(tricks), version=version)
    if rng.random() < 0.1:
        raw = raw.replace(CRLF, rng.choice([b"\n", b"\r", b"\n\r"]))
    return Case("header", make.marker, [raw])


def bodies(make: Maker) -> Case:
    rng, good, marker = make.rng, make.target.model, make.marker
    text = make.body().decode()
    model = json.dumps(good)
    double = f'{{"model":"{marker}","messages":[],"user":"{marker}",'
    raw = rng.choice(
        [
            b"",
            b"null",
            b"[" + text.encode() + b"]",
            model.encode(),
            text.encode()[: rng.randrange(len(text))],
            text.encode() + b"}",
            text.encode() + text.encode(),
            text.encode() + b"\x00",
            b"\xef\xbb\xbf" + text.encode(),
            text.encode(rng.choice(["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be"])),
            text.replace('"', "'").encode(),
            text.replace(":", "=", 1).encode(),
            text.replace("{", "{,", 1).encode(),
            ("{/* */" + text[1:]).encode(),
            (double + f'"model":{model}}}').encode(),
            (double + f'"mod\\u0065l":{model}}}').encode(),
            (double + f'"\\u006D\\u006f\\u0064\\u0065\\u006c" : {model}}}').encode(),
            f'{{"model":{model},"model":null,"user":"{marker}"}}'.encode(),
            f'{{"model":{model},"user":"{marker}","model":{model}}}'.encode(),
            f'{{"model":{{"model":{model}}},"user":"{marker}"}}'.encode(),
            *(make.body(model=odd) for odd in ("", None, 1, True, [good], {"model": good}, good + "\n", good + "\x00")),
            *(make.body(model=odd) for odd in (good + " ", good.swapcase() + "!", "../" + good, "a" * 100000, marker)),
            *(
                make.body(model=odd)
                for odd in ("\ud800", '","model":"' + good, "%s%n{{7*7}}", "\u202e" + good, "<script>")
            ),
            json.dumps({key: value for key, value in make.payload().items() if key != "model"}).encode(),
            json.dumps({"Model": good, "MODEL": good, "model ": good, "user": marker}).encode(),
            b'{"user":"' + marker.encode() + b'","a":' + b"[" * 100000,
            b'{"user":"' + marker.encode() + b'","a":' + b'{"a":' * 50000,
            b'{"user":"' + marker.encode() + b'","model":"\xff\xfe"}',
            f"model={good}&user={marker}".encode(),
            rng.randbytes(2000),
        ]
    )
    return Case("body", marker, [make.request(body=raw)])


def media(make: Maker) -> Case:
    rng, good = make.rng, make.body()
    kinds = [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "multipart/form-data",
        "*/*",
        "json",
    ]
    way = rng.randrange(4)
    if way == 0:
        return Case("media", make.marker, [make.request(media=rng.choice([*kinds, None]))])
    if way == 1:
        encoding = rng.choice([b"gzip", b"deflate", b"br", b"zstd", b"identity, gzip", b"x"])
        return Case(
            "media",
            make.marker,
            [make.request(body=gzip.compress(good, mtime=0), headers=[b"Content-Encoding: " + encoding])],
        )
    if way == 2:
        return Case("media", make.marker, [make.request(headers=[b"Content-Type: text/plain"])])
    form = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n' % make.target.model.encode()
    other = b'--B\r\nContent-Disposition: form-data; name="model"\r\n\r\n%s\r\n' % make.marker.encode()
    hidden = b"--B\r\nContent-Disposition: form-data; name*=utf-8''model\r\n\r\n%s\r\n" % make.marker.encode()
    raw = rng.choice(
        [form + other + b"--B--\r\n", form, form + hidden + b"--B--\r\n", b"x" + form + b"--B--", b"--B--\r\n", b""]
    )
    path = rng.choice(["/v1/audio/transcriptions", "/v1/audio/translations", make.target.path])
    return Case("media", make.marker, [make.request(path=path, body=raw, media="multipart/form-data; boundary=B")])


def lengths(make: Maker) -> Case:
    rng, body = make.rng, make.body()
    way = rng.randrange(5)
    if way == 0:
        odd = [
            b"+5",
            b"-1",
            b"0x10",
            b"5 5",
            b"5,6",
            b"1e3",
            b"99999999999999999999999",
            b"18446744073709551616",
            b" ",
            b"5\x00",
            b"\xd9\xa1",
        ]
        return Case("length", make.marker, [make.request(length=rng.choice(odd))])
    if way == 1:
        declared = rng.choice([33554433, 40 << 20, 10**9, 2**31, 2**32 + 5, 2**63 - 1])
        return Case("length", make.marker, [make.request(length=str(declared).encode())], hang_up=True)
    if way == 2:
        # Less than was announced, and nobody to send the rest.
        return Case(
            "length", make.marker, [make.request(length=str(len(body) + rng.randrange(1, 99)).encode())], hang_up=True
        )
    if way == 3:
        # More than was announced: what is over is a request of its own, and none.
        return Case(
            "length", make.marker, [make.request(length=str(rng.randrange(0, len(body) - 1)).encode())], answers=2
        )
    return Case("length", make.marker, [make.request(headers=[b"Content-Length: %d" % rng.randrange(len(body))])])


def chunks(make: Maker) -> Case:
    rng = make.rng
    whole = make.body()
    refused = make.body(model="unknown-" + make.marker)
    size = b"%x" % len(whole)
    bad = [
        b"zz\r\n" + whole + b"\r\n0\r\n\r\n",
        b"-" + size + b"\r\n" + whole + b"\r\n0\r\n\r\n",
        b"0x" + size + b"\r\n" + whole + b"\r\n0\r\n\r\n",
        b"f" * 17 + b"\r\n" + whole + b"\r\n0\r\n\r\n",
        b"7fffffffffffffff\r\n" + whole + b"\r\n0\r\n\r\n",
        size + b"\r\n" + whole + b"XX0\r\n\r\n",
        size + b"\r\n" + whole[:-5] + b"\r\n0\r\n\r\n",
        size + b" " + size + b"\r\n" + whole + b"\r\n0\r\n\r\n",
        size + b"\x00\r\n" + whole + b"\r\n0\r\n\r\n",
        b"\r\n" + size + b"\r\n" + whole + b"\r\n0\r\n\r\n",
        size + b"\r\n" + whole + b"\r\n",
        b"0\r\n\r\n",
        b"%x" % len(refused) + b";" + b"a" * 5000 + b"\r\n" + refused + b"\r\n0\r\n\r\n",
        b"%x" % len(refused) + b';x="\r\n' + refused + b"\r\n0\r\n\r\n",
        b"%x" % len(refused) + b"\r\n" + refused + b"\r\n0\r\nAuthorization: Bearer x\r\nContent-Length: 5\r\n\r\n",
        b"".join(b"1\r\n%c\r\n" % byte for byte in refused) + b"0\r\n\r\n",
        b"".join(b"1;a=b\r\n%c\r\n" % byte for byte in refused) + b"0\r\n\r\n",
    ]
    raw = make.request(body=rng.choice(bad), length=None, headers=[b"Transfer-Encoding: chunked"])
    return Case("chunk", make.marker, [raw], hang_up=True)


def smuggling(make: Maker) -> Case:
    """An honest request with another inside, which is the engine's next one if door and engine part them differently."""
    rng = make.rng
    hidden = (
        f"POST /pause?m={make.marker} HTTP/1.1\r\nHost: {make.target.host}\r\n"
        f"User-Agent: {make.agent}\r\nContent-Length: 0\r\n\r\n"
    ).encode()
    outer = json.loads(make.honest().partition(b"\r\n\r\n")[2])
    honest = json.dumps(outer).encode()
    chunked = b"%x\r\n%s\r\n0\r\n\r\n" % (len(honest), honest)
    spelled = rng.choice(
        [
            *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: Chunked", b"Transfer-Encoding:\tchunked"),
            *(b"Transfer-Encoding : chunked", b"Transfer-Encoding: xchunked", b"Transfer-Encoding: chunked, identity"),
            *(
                b"Transfer-Encoding: identity, chunked",
                b"Transfer-Encoding: chunked\x0b",
                b"Transfer-Encoding: \x00chunked",
            ),
            *(
                b"Transfer-Encoding:\x0bchunked",
                b"X: a\nTransfer-Encoding: chunked",
                b"X: a\rTransfer-Encoding: chunked",
            ),
            *(
                b"Transfer-Encoding: chunked\r\nTransfer-Encoding: x",
                b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked",
            ),
            *(b"Transfer-Encoding:\r\n chunked", b"Transfer_Encoding: chunked", b'Transfer-Encoding: "chunked"'),
            *(
                b"Transfer-Encoding: chunked;q=1",
                b"transfer-encoding: chunked, chunked",
                b"Transfer-Encoding: gzip, chunked",
            ),
        ]
    )
    way = rng.randrange(5)
    if way == 0:  # the length says all of it is one body, the chunks end before
        raw = make.request(body=chunked + hidden, headers=[spelled], marked=False)
    elif way == 1:  # the length ends within the chunks
        raw = make.request(body=chunked, length=b"4", headers=[spelled], marked=False) + hidden
    elif way == 2:  # two lengths
        both = [b"Content-Length: %d" % (len(honest) + len(hidden))]
        raw = make.request(body=honest + hidden, length=b"%d" % len(honest), headers=both, marked=False)
    elif way == 3:  # the honest request ends where it should, what follows has no key
        raw = make.request(body=honest, marked=False) + rng.choice([b"", b"\r\n", b"\x00", b" "]) + hidden
    else:  # the end of a chunk that only one of the two sees
        extension = rng.choice([b";\n", b";a\rb", b";a=\n\n", b"\n", b" \r", b";x=\x00"])
        body = b"%x%s\r\n%s\r\n0\r\n\r\n" % (len(honest), extension, honest)
        raw = make.request(body=body + hidden, length=None, headers=[b"Transfer-Encoding: chunked"], marked=False)
    return Case("smuggling", make.marker, [raw], honest=1, answers=2)


def pipelines(make: Maker) -> Case:
    """Something hostile right behind an honest request, in the same breath."""
    behind = make.rng.choice([paths, bodies, methods, media, *([keys] if make.target.key else [])])(make)
    return Case(
        f"pipelined {behind.kind}", make.marker, [make.honest(), *behind.pieces], honest=1, answers=1 + behind.answers
    )


def garbage(make: Maker) -> Case:
    rng = make.rng
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + rng.randbytes(508)
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + rng.randbytes(60)
    short = f"GET /metrics?m={make.marker}\r\n\r\n".encode()
    raw = rng.choice(
        [
            hello,
            preface,
            rng.randbytes(3000),
            b"\r\n" * 500,
            b"\x00" * 4000,
            short,
            b"PROXY TCP4 1.1.1.1 1.1.1.1 1 1\r\n",
        ]
    )
    return Case("garbage", make.marker, [raw], hang_up=True)


def slow(make: Maker) -> Case:
    """Heads and bodies that drip and never end."""
    head = make.request().partition(CRLF)[0] + b"\r\nX-Fuzz: " + make.marker.encode()
    raw = make.request(length=b"5000") if make.rng.random() < 0.7 else head
    return Case("slow", make.marker, [raw, *(piece for __ in range(20) for piece in (0.8, b"a"))])


def large(make: Maker) -> Case:
    """Up to the limit and over it, made so that reading costs as much as it can."""
    size = make.rng.choice([2 << 20, 8 << 20, 32 << 20, 34 << 20])
    unit, before, after = make.rng.choice(
        [
            (b"\\", b'{"a":"', b'","model":"unknown-%s"}'),
            (b'\\"', b'{"a":"', b'","model":"unknown-%s"}'),
            (b"[],", b'{"a":[', b'0],"model":"unknown-%s"}'),
            (b'"k":1,', b"{", b'"model":"unknown-%s"}'),
            (b" ", b"{", b'"model":"unknown-%s"}'),
            (b"a", b'{"messages":"', b'","model":"unknown-%s"}'),
        ]
    )
    body = before + unit * (size // 2 // len(unit) * 2) + after % make.marker.encode()
    return Case("large", make.marker, [make.request(body=body)])


# How often each kind comes in a thousand.
_SHARES: list[tuple[Callable[[Maker], Case], int]] = [
    *(
        (paths, 180),
        (methods, 60),
        (keys, 100),
        (headers, 140),
        (bodies, 170),
        (media, 60),
        (lengths, 60),
        (chunks, 60),
    ),
    *((smuggling, 90), (pipelines, 50), (garbage, 10), (slow, 12), (large, 8)),
]


def cases(target: Target, count: int, seed: int) -> Iterator[Case]:
    """`count` cases, the same for the same seed and target. Without a key, there is none to be wrong about."""
    rng = random.Random(seed)
    shares = [(maker, share) for maker, share in _SHARES if target.key or maker is not keys]
    makers = rng.choices([maker for maker, __ in shares], [share for __, share in shares], k=count)
    for number, maker in enumerate(makers):
        yield maker(Maker(target, f"fz{seed}x{number:05d}z", rng))
