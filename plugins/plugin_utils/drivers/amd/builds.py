"""vLLM's builds for ROCm by release: data/rocm.yml, `builds`. Control node only."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import unquote, urlsplit

from ansible_collections.baremetal.vllm.plugins.module_utils.text.names import numbers
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.releases import facts

# <release>/<build> at the end of an index's address.
_PLACE = re.compile(r"/(?P<release>[^/]+)/(?P<build>rocm\d+)/?$")


@dataclass(frozen=True)
class Build:
    """One build of one release: `name` as its version ends (rocm723), the ROCm that it is made with, the oldest glibc that it
    runs on, and whether ROCm's libraries come along as wheels (`bundled`) or are the host's."""

    release: str
    name: str
    rocm: str
    glibc: str
    bundled: bool = False

    @property
    def version(self) -> str:
        """What the index calls the engine. No index but vLLM's has that version, so nothing else is ever taken for it."""
        return f"{self.release}+{self.name}"

    @property
    def index(self) -> str:
        """The address of vLLM's own index of this build, where uv and pip find its wheels."""
        return f"{facts()['builds']['url']}/{self.release}/{self.name}"


class NoBuildError(ValueError):
    """There is no such build; the text names those that there are."""


def python() -> str:
    """The one Python that the builds are for, 3.x."""
    return str(facts()["builds"]["python"])


def arch() -> str:
    """The one machine that the builds are for, as uname -m says it."""
    return str(facts()["builds"]["arch"])


def builds(release: str) -> tuple[Build, ...]:
    """The builds of a release, the preferred one first; none before 0.14.0."""
    found: tuple[Build, ...] = ()
    for since, named in facts()["builds"]["releases"].items():
        if numbers(since) <= numbers(release):
            found = tuple(_build(release, name, said) for name, said in named.items())
    return found


def build(release: str, name: str = "") -> Build:
    """The build of that name, or the preferred one of the release. Raises NoBuildError."""
    known = builds(release)
    if not known:
        first = next(iter(facts()["builds"]["releases"]))
        raise NoBuildError(f"vLLM {release} has no builds for ROCm: {first} was the first")
    for one in known:
        if name in ("", one.name):
            return one
    raise NoBuildError(
        f"vLLM {release} has no build {name!r} for ROCm: it has {' and '.join(one.name for one in known)}"
    )


def chosen(release: str, name: str = "", urls: Sequence[str] = ()) -> Build:
    """The build to install: the one named, else the one that an index's address ends in, else the release's first.

    Indexes of one's own may hold builds that are not vLLM's; what is known of those is their name. Raises NoBuildError.
    """
    found = [place["build"] for url in urls if (place := _place(url))]
    name = name or (found[0] if found else "")
    if urls and name and name not in {one.name for one in builds(release)}:
        oldest = min((one.glibc for one in builds(release)), default="2.35", key=numbers)
        return Build(release, name, "", oldest)
    return build(release, name)


def misplaced(url: str, release: str) -> str:
    """Why an index cannot hold the release's builds, in words; "" where nothing speaks against it.

    vLLM's own addresses name release and build: the one without a release follows the newest, and a release that it does not
    hold would be looked for in the next index, which has CUDA's. A mirror's address is judged by what it names.
    """
    try:
        parts, own = urlsplit(url), urlsplit(facts()["builds"]["url"])
    except ValueError as error:
        return f"is no URL ({error})"
    place = _place(url)
    inside = parts.hostname == own.hostname and f"{parts.path}/".startswith(f"{own.path}/")
    if place is None:
        return "names no release and no build of it, so it holds another release sooner or later" if inside else ""
    # Numbers with dots: on a mirror, any other folder may stand before the build.
    if place["release"] != release and (inside or re.match(r"\d+\.\d+\.\d+", place["release"])):
        return f"is of {place['release']}, and the release to install is {release}"
    if inside and place["build"] not in {one.name for one in builds(release)}:
        return f"is of {place['build']}, which vLLM {release} has no build for"
    return ""


def _place(url: str) -> re.Match[str] | None:
    try:
        return _PLACE.search(unquote(urlsplit(url).path))
    except ValueError:
        return None


class _BuildForm(TypedDict, total=False):
    rocm: str
    glibc: str
    bundled: bool


def _build(release: str, name: str, said: _BuildForm) -> Build:
    return Build(release, name, said["rocm"], said["glibc"], bool(said.get("bundled")))
