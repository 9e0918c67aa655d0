"""Deciding, on the control node, what one host needs: nothing, an installation, or a refusal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from ansible_collections.baremetal.vllm.plugins.module_utils.engine.images import MountedImage
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.manifest import Manifest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.task import Registered


class EngineRefusalError(ValueError):
    """The release cannot be installed as things are; the text says what to do."""


# ProtectProc= and others of the units' settings began with it: systemd's NEWS.
SYSTEMD = 247


def check_systemd(found: int | None) -> None:
    """Raises RefusalError where a host's systemd is too old for the units of engines; None (not told) passes."""
    if found is not None and found < SYSTEMD:
        raise EngineRefusalError(
            f"this host has systemd {found}, and the units of engines ask for {SYSTEMD} and newer (RHEL 8 has 239): install a"
            " newer release of its system, or take its models elsewhere (`hosts` of each in vllm_models)"
        )


def check_place(path: str, survey: Registered) -> None:
    """Whether a release may lie at `path`; `survey` is what installed.survey found there. Raises RefusalError.

    Root builds engines and runs their Python, so nobody else may own them or the way to them.
    """
    root, __, release = path.rpartition("/")
    if survey.get("unsafe"):
        raise EngineRefusalError(
            f"engines lie in {root}, and {'; '.join(survey['unsafe'])}: whoever may exchange what lies there has root run what"
            " they like. Give it back to root, as told in brackets, or move it away"
        )
    if release in survey.get("foreign", ()):
        raise EngineRefusalError(
            f"{path} is there, and neither an installation of this collection nor one that was begun: move it away"
            f" (mv {path} {path}.before), or plan another release"
        )


@dataclass(frozen=True)
class EngineVerdict:
    """Whether to install, and why in words for the person at the terminal."""

    install: bool
    reason: str


def decide(
    release: str,
    accelerator: str,
    marker: Mapping[str, str],
    present: bool,
    locks: Collection[str],
    users: Sequence[str],
    form: str = "",
    image: MountedImage | None = None,
) -> EngineVerdict:
    """Compare what a host has with what is planned.

    `marker` is {} for an unfinished or broken installation, `present` says whether its directory is there at all;
    `locks` are digests of the locks that would do (empty: any); `users` is what uses this release now; `form` is the form that
    was asked for ("": either will do), `image` what the release is mounted from, None where it is packages.
    Raises RefusalError where a complete installation in use differs from the plan.
    """
    running = [user for user in users if user.startswith("process")]
    if image is not None and image["problem"]:
        if running:
            raise EngineRefusalError(
                f"{image['problem']}, and {', '.join(running[:3])} runs from it. Stop what runs (systemctl stop 'vllm-*'), then"
                " run again: it is brought anew"
            )
        return EngineVerdict(True, image["problem"])
    if image is not None and not image["mounted"]:
        return EngineVerdict(True, f"its image {image['digest'][:12]} is not mounted")
    if not marker:
        if running:
            raise EngineRefusalError(
                f"vLLM {release} on this host is not whole, and {', '.join(running[:3])} still runs from it."
                " Stop what runs (systemctl stop 'vllm-*'), then run again: it will be installed afresh"
            )
        return EngineVerdict(True, "its installation was not finished" if present else "it is not installed")
    other = ""
    if marker["accelerator"] != accelerator:
        other = f"for {marker['accelerator']} instead of {accelerator}"
    elif locks and marker["lock_sha256"] not in locks:
        wanted = " or ".join(sorted(lock[:12] for lock in locks))
        other = f"from another lock ({marker['lock_sha256'][:12]} instead of {wanted})"
    have = "packages" if image is None else "image"
    if not other and form and form != have:
        # The same files at the same place: a unit that does not run notices nothing.
        if running:
            raise EngineRefusalError(
                f"vLLM {release} is installed as {have} instead of as {form} (vllm_engine_form), and {', '.join(running[:3])}"
                " runs from it. Stop what runs (systemctl stop 'vllm-*') and run again, or keep its form until the next release"
            )
        return EngineVerdict(True, f"it is installed as {have} instead of as {form}")
    if not other:
        since = f"from image {image['digest'][:12]}" if image is not None else f"since {marker['finished_at']}"
        return EngineVerdict(False, f"complete {since}")
    living = [user for user in users if not user.startswith("generation")]
    if living:
        raise EngineRefusalError(
            f"vLLM {release} is installed {other}, and {', '.join(living[:3])} uses it: an engine in use is never"
            f" rebuilt. Either keep what is there (give requirements.lock of the release's directory as the lock),"
            f" or plan another release first and come back, or stop and remove these units and run again"
        )
    return EngineVerdict(True, f"it is installed {other}")


def room_needed(manifest: Manifest) -> int:
    """Return the bytes an installation from a wheelhouse takes at its peak.

    The bundle and its unpacked copy come one after the other with a short overlap; bytecode adds about a tenth.
    """
    return 2 * sum(manifest["files"].values()) + int(manifest["unpacked_bytes"] * 1.15)
