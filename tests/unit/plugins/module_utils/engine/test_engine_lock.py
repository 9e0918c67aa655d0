from __future__ import annotations

import random

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.engine.lock import (
    LockError,
    Pin,
    digest,
    normalise,
    parse_lock,
    render_lock,
)
from hypothesis import given
from hypothesis import strategies as st

HASH = "a" * 64
hashes = st.binary(min_size=32, max_size=32).map(bytes.hex)
names = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
versions = st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,3}(\+[a-z]{1,5}(\.[a-z0-9]{1,4})?)?", fullmatch=True)
locks = st.lists(
    st.builds(Pin, names, versions, st.lists(hashes, min_size=1, max_size=4, unique=True).map(sorted).map(tuple)),
    min_size=1,
    max_size=12,
    unique_by=lambda pin: pin.name,
).map(tuple)


@given(locks)
def test_what_is_rendered_is_read_back(pins: tuple[Pin, ...]) -> None:
    assert set(parse_lock(render_lock(pins))) == set(pins)


@given(locks, st.randoms())
def test_digest_ignores_order_comments_and_layout(pins: tuple[Pin, ...], rng: random.Random) -> None:
    shuffled = list(pins)
    rng.shuffle(shuffled)
    flat = "# made by hand\n\n" + "\n".join(
        f"{pin.name}=={pin.version} " + " ".join(f"--hash=sha256:{value}" for value in reversed(pin.hashes))
        for pin in shuffled
    )
    assert digest(flat) == digest(render_lock(pins))


@given(locks, hashes)
def test_digest_tells_any_other_hash(pins: tuple[Pin, ...], other: str) -> None:
    first, *rest = pins
    if other not in first.hashes:
        assert digest(render_lock((Pin(first.name, first.version, (other,)), *rest))) != digest(render_lock(pins))


@pytest.mark.parametrize(
    ("line", "pin"),
    [
        (f"torch==2.13.0+cpu --hash=sha256:{HASH}", Pin("torch", "2.13.0+cpu", (HASH,))),
        (f"Foo_Bar.baz==1 \\\n    --hash=sha256:{HASH}", Pin("foo-bar-baz", "1", (HASH,))),
        (f"mistral-common[image]==1.13.1 --hash=sha256:{HASH}", Pin("mistral-common", "1.13.1", (HASH,))),
        (f"six==1.16 ; python_version > '3.11' --hash=sha256:{HASH}", Pin("six", "1.16", (HASH,))),
        (f"--index-url https://example.org/simple\na==1 --hash=sha256:{HASH}", Pin("a", "1", (HASH,))),
    ],
)
def test_forms_of_a_pin(line: str, pin: Pin) -> None:
    assert parse_lock(line) == (pin,)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no distribution"),
        ("# nothing\n", "no distribution"),
        ("torch>=2\n", "not an exact pin"),
        ("torch\n", "not an exact pin"),
        ("./wheel.whl\n", "not an exact pin"),
        ("torch==2\n", "torch has no --hash"),
        (f"torch==2 --hash=md5:{HASH}\n", "torch has no --hash"),
        (f"torch==2 --hash=sha256:{HASH[:-1]}\n", "torch has no --hash"),
        (f"a-b==1 --hash=sha256:{HASH}\nA_B==2 --hash=sha256:{HASH}\n", "a-b is in the lock twice"),
    ],
)
def test_a_lock_that_cannot_be_used_says_why(text: str, told: str) -> None:
    with pytest.raises(LockError, match=told):
        parse_lock(text)


@given(names)
def test_normalising_twice_changes_nothing(name: str) -> None:
    assert normalise(normalise(name)) == normalise(name) == normalise(name.replace("-", "_").upper())
