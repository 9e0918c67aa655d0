"""The control node's store: each cache is fetched once, what fits is found, and a miss says what differs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.cache import ARCHIVE, MANIFEST, CacheError, Manifest
from ansible_collections.baremetal.vllm.plugins.module_utils.warm.key import (
    CompiledFor,
    EngineFacts,
    HostFacts,
    digest,
    parts,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.warm.store import WarmStore, directory_of, of_service

SERVICE = CompiledFor("0.32.0", "cuda", "/m/a", "c0ffee", {"max-num-seqs": ["256"]})
HOST = HostFacts("x86_64", "glibc 2.36", "0123", gpus=("NVIDIA H100",), driver="580")
ENGINE = EngineFacts("e1", "3.12.3")
CONTENT = b"an archive"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def told(service: CompiledFor = SERVICE, host: HostFacts = HOST, made: str = "2026-11-30T12:00:00+00:00") -> Manifest:
    whole = parts(service, host, ENGINE)
    return Manifest(digest(whole), whole, DIGEST, len(CONTENT), 1, made, "a", "h1")


def give(path: Path) -> None:
    path.write_bytes(CONTENT)


@pytest.fixture
def store(tmp_path: Path) -> WarmStore:
    return WarmStore(tmp_path / "warm")


def test_a_cache_is_fetched_once(store: WarmStore) -> None:
    fetched = []

    def fetch(path: Path) -> None:
        fetched.append(path)
        give(path)
        # Ansible serves another host meanwhile, in a process of its own.
        assert store.add(told(), pytest.fail) is False

    assert store.add(told(), fetch) is True
    assert store.add(told(), pytest.fail) is False
    assert store.add(told(), give, replace=True) is True
    assert len(fetched) == 1
    assert store.checked(told().key) == told()
    assert [path.name for path in store.directory.iterdir()] == [told().key]


def test_what_arrives_wrong_or_not_at_all_is_not_kept(store: WarmStore) -> None:
    def lost(path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(104, "Connection reset by peer")

    with pytest.raises(CacheError, match=f"{told().key}: what arrived"):
        store.add(told(), lambda path: path.write_bytes(b"another"))  # type: ignore[arg-type,func-returns-value]
    with pytest.raises(OSError, match="reset by peer"):
        store.add(told(), lost)
    assert list(store.directory.iterdir()) == []
    assert store.add(told(), give) is True


def test_what_fits_a_service_is_found_on_whatever_hosts(store: WarmStore) -> None:
    older = told(host=replace(HOST, gpus=("NVIDIA H200",)), made="2026-11-29T12:00:00+00:00")
    for each in (told(), older, told(replace(SERVICE, revision="decade"))):
        store.add(each, give)
    assert store.fitting(of_service(told().parts)) == [told(), older]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        (told(replace(SERVICE, options={"max-num-seqs": ["128"]})), '--max-num-seqs was ["256"] and is ["128"]'),
        (told(replace(SERVICE, revision="decade")), "revision was c0ffee and is decade"),
        (told(replace(SERVICE, weights="/m/moved")), "weights was /m/a and is /m/moved"),
        (told(host=replace(HOST, driver="590")), "host driver was 580 and is 590"),
        (told(replace(SERVICE, weights="/m/b", revision="b")), ""),
    ],
)
def test_a_miss_says_what_differs_from_the_newest_cache_of_the_model(store: WarmStore, now: Manifest, why: str) -> None:
    store.add(told(replace(SERVICE, release="0.31.0"), made="2026-11-01T12:00:00+00:00"), give)
    store.add(told(), give)
    assert store.miss(now.parts) == why


def test_before_a_host_is_asked_only_the_service_is_compared(store: WarmStore) -> None:
    store.add(told(), give)
    other = of_service(told(replace(SERVICE, release="0.33.0")).parts)
    assert store.miss(other) == "release was 0.32.0 and is 0.33.0"


def test_what_is_no_cache_is_passed_over_and_a_changed_one_is_not_sent(store: WarmStore) -> None:
    store.add(told(), give)
    (store.directory / ("0" * 64)).mkdir()
    (store.directory / "notes").write_text("mine")
    assert list(store.caches()) == [told()]
    (store.directory / told().key / ARCHIVE).write_bytes(b"poison")
    with pytest.raises(CacheError, match="is not what its manifest says"):
        store.checked(told().key)
    (store.directory / told().key / MANIFEST).write_text(json.dumps({"schema": 9}))
    assert list(store.caches()) == []


@pytest.mark.parametrize(
    ("given", "environment", "directory"),
    [
        ("/srv/warm", {"XDG_CACHE_HOME": "/x"}, "/srv/warm"),
        ("", {"XDG_CACHE_HOME": "/x"}, "/x/baremetal-vllm/warm"),
        ("", {"HOME": "/home/me"}, "/home/me/.cache/baremetal-vllm/warm"),
    ],
)
def test_where_caches_are_kept(given: str, environment: dict[str, str], directory: str) -> None:
    assert directory_of(given, environment) == Path(directory)
