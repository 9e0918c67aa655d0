"""Asks a host once and decides on the control node; documented in plugins/modules/engine_state.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.baremetal.vllm.plugins.module_utils.engine import lock
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.amd.builds import NoBuildError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine import prepare, pythons, rocm, sources
from ansible_collections.baremetal.vllm.plugins.plugin_utils.engine.decide import (
    RefusalError,
    check_place,
    check_systemd,
    decide,
    room_needed,
)

# What decides where an engine for ROCm comes from; the module on the host has no use for it.
ROCM = ("source", "rocm", "index_url", "index_urls", "lock", "python")


class ActionModule(ActionBase):
    """One module call; everything else happens here."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, object]:
        """Return the module's answer with install, reason and source added; failed where the plan cannot be met."""
        super().run(tmp, task_vars)
        asked = self._task.args
        answer: dict[str, Any] = self._execute_module(task_vars=task_vars)
        if answer.get("failed") or "installed" not in answer:
            return answer
        try:
            answer.update(self.judge(asked, answer))
        except (RefusalError, pythons.NoPythonError, lock.LockError, NoBuildError) as error:
            return {"failed": True, "msg": f"vLLM {asked['release']} for {asked['accelerator']}: {error}"}
        return answer

    def judge(self, asked: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """Decide from a host's answer; raises RefusalError, NoPythonError or LockError."""
        release, accelerator = asked["release"], asked["accelerator"]
        check_systemd(answer.get("systemd"))
        check_place(asked["path"], answer)
        offline = asked.get("source", "wheelhouse") == "wheelhouse"
        houses, locks = prepare.acceptable(asked, answer["arch"])
        verdict = decide(
            release,
            accelerator,
            answer["installed"].get(release, {}),
            release in answer["installed"],
            locks,
            answer["used"].get(release, []),
        )
        judged: dict[str, Any] = {"install": verdict.install, "reason": verdict.reason}
        if not verdict.install:
            return judged
        if accelerator == "rocm":
            _check_rocm(asked, answer)
        found = [pythons.HostPython(**python) for python in answer["pythons"]]
        wanted = str(asked.get("python") or "auto")
        if offline:
            if not houses:
                directory = Path(asked.get("wheelhouse") or sources.default_wheelhouse()).expanduser()
                named = f"{release}-{asked.get('rocm') or accelerator}"
                command = sources.wheelhouse_command(
                    release, accelerator, rocm=asked.get("rocm") or "", arch=answer["arch"], directory=directory
                )
                raise RefusalError(
                    f"no finished wheelhouse {named}-py*-{answer['arch']} in {directory}. Prepare it:"
                    f" {command}, or set vllm_engine_source: index"
                )
            offers = [
                pythons.Offer(path, manifest["python"], manifest["python_archive"]) for path, manifest in houses.items()
            ]
            choice = pythons.choose_offline(wanted, found, offers)
            manifest = houses[choice.wheelhouse]
            _check_glibc(answer["glibc"], manifest["glibc"])
            need = room_needed(manifest)
        else:
            choice = pythons.choose_online(wanted, found, sources.PYTHONS[accelerator])
            need = sources.ROOM[accelerator]
        if answer["free_bytes"] < need:
            raise RefusalError(
                f"not enough room in {Path(asked['path']).parent}: {need / 1e9:.1f} GB are needed while it is"
                f" installed, {answer['free_bytes'] / 1e9:.1f} GB are free"
            )
        if asked.get("packages") and not answer["family"]:
            raise RefusalError(
                "this distribution is not known here: name the system packages that the engine needs in"
                " vllm_engine_packages, under its ID in /etc/os-release (an empty list where an image has them)"
            )
        used = next((python for python in found if python.path == choice.python), None)
        if used is not None and not used.headers and asked.get("packages", {}).get(answer["family"]):
            judged["missing_packages"] = [*answer["missing_packages"], _headers(answer["family"], choice.minor)]
        judged["source"] = {
            "wheelhouse": choice.wheelhouse,
            "lock": asked.get("lock") or "",
            "python": choice.python,
            "minor": choice.minor,
            "arch": answer["arch"],
            "need_bytes": need,
        }
        return judged


def _check_rocm(asked: dict[str, Any], answer: dict[str, Any]) -> None:
    """Refuse what can be no engine for ROCm here, whoever wrote the task; the plan has told most of it before."""
    wrong = [
        str(problem)
        for problem in rocm.of_host(asked["release"], {f"vllm_engine_{key}": asked.get(key) for key in ROCM})
    ]
    if asked.get("source") == "index" and not wrong:
        build = sources.build_for(asked["release"], "rocm", asked.get("index_urls") or (), asked.get("rocm") or "")
        wrong = [why] if build and (why := rocm.beyond(build, answer["glibc"], answer["arch"])) else []
    if wrong:
        raise RefusalError("; ".join(wrong))


def _check_glibc(have: str, need: str) -> None:
    if have and [int(part) for part in have.split(".")[:2]] < [int(part) for part in need.split(".")[:2]]:
        raise RefusalError(
            f"the wheels are for glibc {need} and newer, this host has {have}: prepare them with"
            f" wheelhouse_glibc={have}"
        )


def _headers(family: str, minor: str) -> str:
    """Return the package with the C headers of a distribution's Python: torch and triton compile against them."""
    return f"python{minor}-dev" if family == "debian" else f"python{minor}-devel"
