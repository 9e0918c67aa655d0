"""Serves `ansible_runs.run`: a Python that has read Ansible and this collection once, and forks for each command line.

It is `ansible-playbook` itself, its console script's own `main()`, in a process of its own with its own environment, directory
and output; what is saved is reading half a million lines of Python anew, two thirds of what a short play costs.

One JSON document a line: `words`, the program and its arguments; `env`, all of its environment; `cwd`; `input`, `stdout` and `stderr`,
paths of files; `timeout`, seconds, 0 for none. It is answered with the exit status, negative where a signal ended the run.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import json
import os
import re
import signal
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

COLLECTION = "ansible_collections.baremetal.vllm"
ACTIONS = Path(__file__).resolve().parents[1] / "plugins" / "action"


def warm() -> None:
    """Read what every run reads. Nothing here depends on a command line or on the environment but for ANSIBLE_*."""
    importlib.import_module("ansible.cli.playbook")
    # The command line's own call of it comes later, and says so.
    warnings.filterwarnings("ignore", message="AnsibleCollectionFinder has already been configured")
    loaders = importlib.import_module("ansible.plugins.loader")
    loaders.init_plugin_loader()
    # Not the plugins of inventories and variables: they are themselves only as long as nobody has asked for all.
    for kind in ("callback", "connection", "filter", "shell", "strategy", "test"):
        list(getattr(loaders, f"{kind}_loader").all(class_only=True))
    for action in sorted(ACTIONS.glob("*.py")):
        importlib.import_module(f"{COLLECTION}.plugins.action.{action.stem}")
    # Facts in data/ are read once in a process.
    plan, menu = (
        importlib.import_module(f"{COLLECTION}.plugins.plugin_utils.plan.{name}") for name in ("fleet", "menu")
    )
    host = {"vllm_accelerator": "cuda", "vllm_version": "0.33.0", "gpu_count": 1, "gpu_name": "H100-80GB"}
    models = {"m": {"model": "a/b", "kind": "chat", "args": {"max-model-len": "8k"}}}
    plan.plan_fleet(plan.Inventory(menu=menu.read_menu(models), hosts={"h": host}, match=lambda __: ["h"]))
    gc.freeze()


def child(asked: dict[str, Any]) -> None:
    """Become the program that was asked for; does not return."""
    status = 1
    # The server's own, such as the end of its temporary directory.
    atexit._clear()
    try:
        signal.alarm(asked["timeout"])
        for number, path in ((0, asked["input"]), (1, asked["stdout"]), (2, asked["stderr"])):
            os.dup2(os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY), number)
        sys.stdin = os.fdopen(0)
        os.environ.clear()
        os.environ.update(asked["env"])
        os.chdir(asked["cwd"])
        sys.argv = asked["words"]
        importlib.import_module("ansible.cli." + re.sub(r"^ansible-", "", sys.argv[0])).main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else bool(end.code)
    except BaseException:
        traceback.print_exc()
    finally:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def main() -> None:
    warm()
    for line in sys.stdin:
        asked = json.loads(line)
        pid = os.fork()
        if pid == 0:
            child(asked)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
