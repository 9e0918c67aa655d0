"""Which Python an engine gets on a host."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from packaging.version import Version


class NoPythonError(ValueError):
    """No Python on the host or in the source suits the release; the text names what there is and what to do."""


@dataclass(frozen=True)
class HostPython:
    """An interpreter found on a host: absolute path, full version such as 3.11.2, whether its C headers are there."""

    path: str
    version: str
    headers: bool = True

    @property
    def minor(self) -> str:
        """The version as wheels name it, such as 3.11."""
        return ".".join(self.version.split(".")[:2])


@dataclass(frozen=True)
class PythonOffer:
    """A wheelhouse for one Python: its directory, the Python its wheels are for, the Python it brings along or ''."""

    directory: str
    python: str
    archive: str = ""


@dataclass(frozen=True)
class PythonChoice:
    """What to build with. `python` is an absolute path, '' for the wheelhouse's own, or a version that uv fetches."""

    python: str
    minor: str
    wheelhouse: str = ""


def _listed(pythons: Iterable[HostPython]) -> str:
    return ", ".join(f"{python.version} ({python.path})" for python in pythons) or "none"


def choose_offline(wanted: str, found: Sequence[HostPython], offers: Sequence[PythonOffer]) -> PythonChoice:
    """Match a host's Pythons with wheelhouses; a host's own Python is preferred, and the newest of several.

    `wanted` is auto, wheelhouse (never the host's own), an absolute path on the host, or a version such as 3.11.
    Raises NoPythonError.
    """
    if not offers:
        raise NoPythonError("no wheelhouse to choose from")
    asked = [offer for offer in offers if wanted in ("auto", "wheelhouse", offer.python) or wanted.startswith("/")]
    own = [python for python in found if wanted in ("auto", python.path, python.minor)]
    for offer in sorted(asked, key=lambda offer: Version(offer.python), reverse=True):
        for python in own:
            if python.minor == offer.python:
                return PythonChoice(python.path, offer.python, offer.directory)
    if not wanted.startswith("/"):
        for offer in sorted(asked, key=lambda offer: Version(offer.python), reverse=True):
            if offer.archive:
                return PythonChoice("", offer.python, offer.directory)
    have = " and ".join(sorted({offer.python for offer in offers}))
    raise NoPythonError(
        f"the wheelhouse is for Python {have}, and this host has {_listed(found)}"
        + ("" if wanted == "auto" else f" (vllm_engine_python asks for {wanted})")
        + f". Either prepare a wheelhouse for a Python that the host has (playbooks/wheelhouse.yml with"
        f" wheelhouse_python_version), or put a standalone Python {have} into this one"
        " (wheelhouse_python: true, or wheelhouse_python_archive)"
    )


def choose_online(wanted: str, found: Sequence[HostPython], supported: Sequence[str]) -> PythonChoice:
    """Choose for an installation from an index: a supported Python of the host, else one that uv fetches.

    `supported` lists the versions that the release has wheels for, the preferred one first. Raises NoPythonError.
    """
    if wanted.startswith("/"):
        for python in found:
            if python.path == wanted and python.minor in supported:
                return PythonChoice(python.path, python.minor)
        raise NoPythonError(
            f"vllm_engine_python asks for {wanted}, but the host has {_listed(found)}"
            f" and the release runs on {', '.join(supported)}"
        )
    minors = list(supported) if wanted == "auto" else [".".join(wanted.split(".")[:2])]
    if minors[0] not in supported:
        raise NoPythonError(
            f"vllm_engine_python asks for {wanted}, and the release runs on {', '.join(supported)}. Leave it out (auto), or"
            f" write one of these"
        )
    for minor in minors:
        for python in found:
            if python.minor == minor and wanted in ("auto", minor, python.version):
                return PythonChoice(python.path, minor)
    if wanted == "auto":
        return PythonChoice(minors[0], minors[0])
    return PythonChoice(wanted, minors[0])
