"""A change touches what it names and nothing else."""

from __future__ import annotations

from typing import Any

from conftest import UNITS
from testlab import argv, host, show

DROP_IN = "/etc/systemd/system/vllm-tiny-reasoning.service.d/operator.conf"


def processes() -> dict[str, str]:
    """The main process of every unit, with its start time: the same only where nothing was restarted."""
    properties = ("MainPID", "ExecMainStartTimestampMonotonic")
    return {unit: str(show(host(name), unit, *properties)) for name, units in UNITS.items() for unit in units}


def test_only_the_changed_model_restarts_and_drop_ins_survive(menu: dict[str, Any], site: Any) -> None:
    before = processes()
    target = host("lab1")
    target.check_output("mkdir -p $(dirname %s) && printf '[Service]\\nNice=3\\n' > %s", DROP_IN, DROP_IN)
    menu["tiny-reasoning"]["args"] = menu["tiny-reasoning"]["args"].replace("'hermes'", "'hermes', 'max-num-seqs': 7")
    told = site(menu, "--check", "--diff")
    assert (told.rc, told.changed) == (0, 1)
    assert "+  --max-num-seqs 7" in told.text
    assert processes() == before, "check mode restarted something"
    run = site(menu)
    assert (run.rc, run.changed) == (0, 1)
    after = processes()
    assert {unit for unit in after if after[unit] != before[unit]} == {"vllm-tiny-reasoning.service"}
    pid = show(target, "vllm-tiny-reasoning.service", "MainPID")["MainPID"]
    words = argv(target, pid)
    assert words[words.index("--max-num-seqs") + 1] == "7"
    assert target.file(DROP_IN).exists
    assert target.check_output("cut -d' ' -f19 /proc/%s/stat", pid) == "3", "the drop-in's Nice= is not in force"
    target.check_output("rm -r $(dirname %s) && systemctl daemon-reload", DROP_IN)


def test_a_model_taken_off_the_menu_is_gone_and_the_others_never_noticed(menu: dict[str, Any], site: Any) -> None:
    before = processes()
    menu["tiny-reasoning"]["args"] = menu["tiny-reasoning"]["args"].replace("'hermes'", "'hermes', 'max-num-seqs': 7")
    del menu["tiny-reranker"]
    run = site(menu)
    assert (run.rc, run.changed) == (0, 3), "the unit goes, its port, and the list of what the canary asks"
    target = host("lab2")
    assert not target.file("/etc/systemd/system/vllm-tiny-reranker.service").exists
    assert target.run("pgrep -f tiny-reranker").rc != 0
    assert {u: p for u, p in processes().items() if "reranker" not in u} == {
        u: p for u, p in before.items() if "reranker" not in u
    }
