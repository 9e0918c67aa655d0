"""What is told to the system's own housekeeping: needrestart leaves units of ours alone, tmpfiles what engines keep in /tmp."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest

TEMPLATES = Path(__file__).resolve().parents[5] / "templates"
# As needrestart asks for each service (3.6, "override_rc"): the first pattern that matches decides, 0 leaves it alone.
ASK = (
    "our %nrconf = (override_rc => { qr(^dbus) => 0, qr(^docker) => 0 });"
    "my $rc = pop @ARGV; for my $fn (@ARGV) { eval do { local(@ARGV, $/) = $fn; <> }; die $@ if $@; }"
    "my $restart = 1; for my $re (keys %{$nrconf{override_rc}}) "
    "{ next unless $rc =~ /$re/; $restart = $nrconf{override_rc}->{$re}; last } print $restart;"
)
UNITS = [
    ("vllm-qwen2.5-72b-instruct.service", "vllm-engines.conf"),
    ("vllm-driver-job.service", "vllm-engines.conf"),
    ("canary-vllm.service", "vllm-engines.conf"),
    ("nvidia-fabricmanager.service", "vllm-engines.conf"),
    ("nvidia-persistenced.service", "vllm-engines.conf"),
    ("nvidia-imex.service", "vllm-engines.conf"),
    ("haproxy-vllm.service", "vllm-gateway.conf"),
    ("haproxy-vllm-bodies.service", "vllm-gateway.conf"),
    ("keepalived-vllm.service", "vllm-gateway.conf"),
]
OTHERS = ["haproxy.service", "keepalived.service", "ssh.service", "nvidia-dcgm.service", "my-vllm-thing.service"]


def restarted(unit: str, *names: str) -> bool:
    files = [str(TEMPLATES / "etc/needrestart/conf.d" / name) for name in names]
    perl = ["perl", "-w", "-e", ASK, *files, unit]
    done = subprocess.run(perl, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout == "1"


@pytest.mark.skipif(not shutil.which("perl"), reason="needrestart's own language is not here")
@pytest.mark.parametrize(("unit", "name"), UNITS)
def test_needrestart_leaves_a_unit_of_ours_alone_and_restarted_it_before(unit: str, name: str) -> None:
    assert restarted(unit)
    assert not restarted(unit, name)


@pytest.mark.skipif(not shutil.which("perl"), reason="needrestart's own language is not here")
@pytest.mark.parametrize("unit", OTHERS)
def test_needrestart_still_restarts_what_is_not_ours(unit: str) -> None:
    assert restarted(unit, "vllm-engines.conf", "vllm-gateway.conf")


@pytest.mark.skipif(not shutil.which("systemd-tmpfiles"), reason="systemd is not here")
def test_the_cleaning_of_tmp_leaves_what_engines_keep_there(tmp_path: Path) -> None:
    """The distributions' own lines clean the private /tmp of every unit by age (tmpfiles.d/systemd-tmp.conf, `X`)."""
    kept, gone = ("vllm-m.service", "other.service")
    paths = {unit: tmp_path / "tmp" / f"systemd-private-0123-{unit}-AbCd12" / "tmp" for unit in (kept, gone)}
    for path in paths.values():
        (path / "folder").mkdir(parents=True)
        for name in ("socket", ".lock", "folder/counter_1.db"):
            (path / name).write_text("x")
    distribution = tmp_path / "distribution.conf"
    distribution.write_text(
        f"q {tmp_path}/tmp 1777 root root 1s\n"
        f"x {tmp_path}/tmp/systemd-private-0123-*\nX {tmp_path}/tmp/systemd-private-0123-*/tmp\n"
    )
    ours = tmp_path / "ours.conf"
    text = (TEMPLATES / "etc/tmpfiles.d/vllm.conf").read_text()
    lines = [line for line in text.splitlines() if line.startswith("x /tmp/")]
    ours.write_text(
        "".join(line.replace("%b", "0123").replace("/tmp/", f"{tmp_path}/tmp/", 1) + "\n" for line in lines)
    )
    # The age of a file cannot be made up (its change of status counts), so it is waited for.
    time.sleep(1.5)
    subprocess.run(["systemd-tmpfiles", "--clean", distribution, ours], check=True, capture_output=True)
    left = {unit: sorted(p.name for p in path.rglob("*")) for unit, path in paths.items()}
    assert left == {kept: [".lock", "counter_1.db", "folder", "socket"], gone: []}
