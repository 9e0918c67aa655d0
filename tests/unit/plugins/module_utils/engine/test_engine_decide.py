from __future__ import annotations

import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import (
    EngineRefusalError,
    check_place,
    check_systemd,
    decide,
    room_needed,
)
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.pythons import (
    HostPython,
    NoPythonError,
    PythonChoice,
    PythonOffer,
    choose_offline,
    choose_online,
)

OURS, OTHER = "a" * 64, "b" * 64
MARKER = {"accelerator": "cpu", "lock_sha256": OURS, "finished_at": "today", "release": "0.32.0", "python": "3.11.2"}
UNIT, PROCESS, GENERATION = "vllm-a.service", "process 9 (vllm)", "generation 2"


@pytest.mark.parametrize(
    ("marker", "present", "locks", "users", "install", "reason"),
    [
        ({}, False, [OURS], [], True, "not installed"),
        ({}, True, [OURS], [], True, "not finished"),
        ({}, True, [OURS], [UNIT, GENERATION], True, "not finished"),
        (MARKER, True, [OURS], [UNIT, PROCESS], False, "complete since today"),
        (MARKER, True, [OTHER, OURS], [], False, "complete"),
        (MARKER, True, [], [UNIT], False, "complete"),
        (MARKER, True, [OTHER], [], True, "another lock"),
        (MARKER, True, [OTHER], [GENERATION], True, "another lock"),
        ({**MARKER, "accelerator": "cuda"}, True, [OURS], [], True, "for cuda instead of cpu"),
    ],
)
def test_what_is_done(
    marker: dict[str, str], present: bool, locks: list[str], users: list[str], install: bool, reason: str
) -> None:
    verdict = decide("0.32.0", "cpu", marker, present, locks, users)
    assert verdict.install is install
    assert reason in verdict.reason


@pytest.mark.parametrize(
    ("marker", "users", "told"),
    [
        (MARKER, [UNIT], "vllm-a.service uses it"),
        (MARKER, [PROCESS], "process 9"),
        ({**MARKER, "accelerator": "cuda"}, [UNIT], "for cuda instead of cpu"),
        ({}, [PROCESS], "still runs from it"),
    ],
)
def test_an_engine_in_use_is_never_rebuilt(marker: dict[str, str], users: list[str], told: str) -> None:
    with pytest.raises(EngineRefusalError, match=told):
        decide("0.32.0", "cpu", marker, True, [OTHER], users)


@pytest.mark.parametrize(("systemd", "refused"), [(239, True), (246, True), (247, False), (255, False), (None, False)])
def test_a_host_whose_systemd_is_too_old_is_refused(systemd: int | None, refused: bool) -> None:
    if not refused:
        check_systemd(systemd)
        return
    with pytest.raises(EngineRefusalError, match=f"systemd {systemd}.*247 and newer.*vllm_models"):
        check_systemd(systemd)


def test_room_counts_files_twice_and_what_comes_out_of_them() -> None:
    assert room_needed({"files": {"a": 100, "b": 50}, "unpacked_bytes": 1000}) == 300 + 1150


def host(*versions: str) -> list[HostPython]:
    return [HostPython(f"/usr/bin/python{'.'.join(v.split('.')[:2])}", v) for v in versions]


P11, P12 = PythonOffer("/w/py3.11", "3.11"), PythonOffer("/w/py3.12", "3.12")
P11_OWN = PythonOffer("/w/py3.11", "3.11", "python/cpython-3.11.tar.gz")


@pytest.mark.parametrize(
    ("wanted", "found", "offers", "choice"),
    [
        # Debian 12: its own Python.
        ("auto", host("3.11.2"), [P11], PythonChoice("/usr/bin/python3.11", "3.11", "/w/py3.11")),
        ("auto", host("3.11.2"), [P11_OWN], PythonChoice("/usr/bin/python3.11", "3.11", "/w/py3.11")),
        # Debian 13 and RHEL 9: too new and too old for the wheels; the wheelhouse brings one.
        ("auto", host("3.13.5"), [P11_OWN], PythonChoice("", "3.11", "/w/py3.11")),
        ("auto", host("3.9.21"), [P11_OWN], PythonChoice("", "3.11", "/w/py3.11")),
        # Asked for, so that an upgrade of the distribution cannot take it away.
        ("wheelhouse", host("3.11.2"), [P11_OWN], PythonChoice("", "3.11", "/w/py3.11")),
        # Two wheelhouses: the newest that the host can use; its own Python before a brought one.
        ("auto", host("3.12.3", "3.11.2"), [P11, P12], PythonChoice("/usr/bin/python3.12", "3.12", "/w/py3.12")),
        ("auto", host("3.12.3"), [P11_OWN, P12], PythonChoice("/usr/bin/python3.12", "3.12", "/w/py3.12")),
        ("3.11", host("3.12.3", "3.11.2"), [P11, P12], PythonChoice("/usr/bin/python3.11", "3.11", "/w/py3.11")),
        ("3.11", host("3.12.3"), [P11_OWN, P12], PythonChoice("", "3.11", "/w/py3.11")),
        (
            "/usr/bin/python3.11",
            host("3.12.3", "3.11.2"),
            [P11, P12],
            PythonChoice("/usr/bin/python3.11", "3.11", "/w/py3.11"),
        ),
    ],
)
def test_python_for_a_wheelhouse(
    wanted: str, found: list[HostPython], offers: list[PythonOffer], choice: PythonChoice
) -> None:
    assert choose_offline(wanted, found, offers) == choice


@pytest.mark.parametrize(
    ("wanted", "found", "offers", "told"),
    [
        ("auto", host("3.13.5"), [P11], r"for Python 3\.11, and this host has 3\.13\.5 .*wheelhouse_python_archive"),
        ("auto", host("3.10.12"), [P11, P12], r"3\.11 and 3\.12, and this host has 3\.10\.12"),
        ("auto", [], [P11], "this host has none"),
        ("3.12", host("3.12.3"), [P11_OWN], "asks for 3.12"),
        ("wheelhouse", host("3.11.2"), [P11], "asks for wheelhouse"),
        ("/opt/py/bin/python3", host("3.11.2"), [P11_OWN], "asks for /opt/py/bin/python3"),
        ("auto", host("3.11.2"), [], "no wheelhouse"),
    ],
)
def test_no_python_for_a_wheelhouse(wanted: str, found: list[HostPython], offers: list[PythonOffer], told: str) -> None:
    with pytest.raises(NoPythonError, match=told):
        choose_offline(wanted, found, offers)


SUPPORTED = ("3.12", "3.11", "3.13")


@pytest.mark.parametrize(
    ("wanted", "found", "choice"),
    [
        ("auto", host("3.12.3"), PythonChoice("/usr/bin/python3.12", "3.12")),
        ("auto", host("3.13.5", "3.11.2"), PythonChoice("/usr/bin/python3.11", "3.11")),
        ("auto", host("3.9.21"), PythonChoice("3.12", "3.12")),
        ("auto", [], PythonChoice("3.12", "3.12")),
        ("3.11", host("3.12.3"), PythonChoice("3.11", "3.11")),
        ("3.11", host("3.11.2"), PythonChoice("/usr/bin/python3.11", "3.11")),
        ("3.11.9", host("3.11.2"), PythonChoice("3.11.9", "3.11")),
        ("/usr/bin/python3.13", host("3.13.5"), PythonChoice("/usr/bin/python3.13", "3.13")),
    ],
)
def test_python_from_an_index(wanted: str, found: list[HostPython], choice: PythonChoice) -> None:
    assert choose_online(wanted, found, SUPPORTED) == choice


def test_a_named_python_that_does_not_fit_is_refused() -> None:
    with pytest.raises(NoPythonError, match=r"host has 3\.9\.21 .*runs on 3\.12"):
        choose_online("/usr/bin/python3.9", host("3.9.21"), SUPPORTED)


@pytest.mark.parametrize("wanted", ["3.9", "3.14.1"])
def test_a_version_that_the_release_has_no_wheels_for_is_refused(wanted: str) -> None:
    with pytest.raises(NoPythonError, match=r"vllm_engine_python asks for .*runs on 3\.12"):
        choose_online(wanted, host("3.12.3"), SUPPORTED)


@pytest.mark.parametrize(
    ("survey", "told"),
    [
        ({"unsafe": ["/opt/vllm belongs to bob and not to root (chown root: /opt/vllm)"]}, "belongs to bob .* Give it back to root"),
        ({"foreign": ["0.32.0"]}, "/opt/vllm/0.32.0 is there, and neither an installation .*mv /opt/vllm/0.32.0"),
        ({"foreign": ["9.9.8"], "unsafe": []}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_where_engines_may_lie(survey: dict[str, list[str]], told: str | None) -> None:
    if told is None:
        check_place("/opt/vllm/0.32.0", survey)
        return
    with pytest.raises(EngineRefusalError, match=told):
        check_place("/opt/vllm/0.32.0", survey)
