"""`make demo`: what does not wait for one another runs side by side, and a step that fails ends it by name."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
STEPS = [
    ("tools/lab/lab.yml", "lab   "),
    ("tools/lab/wheels.yml", "engine"),
    ("playbooks/wheelhouse.yml", "engine"),
    ("tools/lab/models.yml", "models"),
]
# In the place of ansible-playbook: notes what it is asked to play, and waits where the others have to come as well.
STANDIN = """#!/bin/sh
echo "$1" >> {here}/played
case "$1" in
  {broken}) echo "no such luck"; exit 2;;
  tools/lab/lab.yml|tools/lab/wheels.yml|tools/lab/models.yml)
    until [ "$(grep -c -e lab.yml -e wheels.yml -e models.yml {here}/played)" = 3 ]; do sleep 0.02; done;;
esac
echo "played $1"
"""


def demo(here: Path, broken: str = "none") -> tuple[int, list[str], list[str]]:
    """Exit status, lines of output and what was played, of `make demo` with a stand-in that fails at ``broken``."""
    standin = here / "playbook"
    standin.write_text(STANDIN.format(here=here, broken=broken))
    standin.chmod(0o755)
    # Neither an environment nor packages: -o takes a target for done.
    command = ["make", "--no-print-directory", "-o", "venv", "-o", "system", "demo", f"PLAYBOOK={standin}"]
    # What a make above this test was asked for is none of its business.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60, env=alone)
    return done.returncode, (done.stdout + done.stderr).splitlines(), (here / "played").read_text().splitlines()


def test_machines_engine_and_models_are_made_side_by_side_and_then_deployed(tmp_path: Path) -> None:
    status, lines, played = demo(tmp_path)
    assert status == 0
    assert set(played[:3]) == {"tools/lab/lab.yml", "tools/lab/wheels.yml", "tools/lab/models.yml"}
    assert played[3:] == ["playbooks/wheelhouse.yml", "site.yml", "playbooks/ask.yml"]
    assert {"lab    | played tools/lab/lab.yml", "models | played tools/lab/models.yml"} <= set(lines)
    for _, name in STEPS:
        assert any(line.startswith(f"{name} | done after ") for line in lines), name


@pytest.mark.parametrize(("broken", "name"), STEPS)
def test_a_step_that_fails_ends_it_by_name_and_nothing_is_deployed(tmp_path: Path, broken: str, name: str) -> None:
    status, lines, played = demo(tmp_path, broken)
    assert status != 0
    assert f"{name} | no such luck" in lines
    assert [line.partition(" after")[0] for line in lines if "FAILED after" in line] == [f"{name} | FAILED"]
    assert "What failed says FAILED above." in lines
    assert "site.yml" not in played
    # The others have come to their end: nothing goes on behind.
    assert sum("| done after" in line for line in lines) == 2
