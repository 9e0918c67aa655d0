"""A host that reaches nothing but the control node gets its engine from the wheelhouse; tests run in file order.

Nothing of it is done as root but by sudo with a password (inventory/offline.yml): under UMASK 077, over IPv6, another port.
"""

from __future__ import annotations

import json
import subprocess
from typing import Any

from testlab import ROOT, STATE, Run, ask, host, playbook, show

HOST = "lab4"
USER, PASSWORD = "deployer", "lab-password-no-secret"
ENGINE = "/opt/vllm/0.32.0"
MENU: dict[str, dict[str, Any]] = {
    "offline-embedding": {
        "push_from": "{{ lab_models }}/all-minilm-l6-v2",
        "kind": "embedding",
        "hosts": HOST,
        "port": 8123,
        "env": {"OMP_NUM_THREADS": 1},
        "args": {"enforce-eager": True, "kv-cache-memory-bytes": "32M"},
    }
}


def site(*arguments: str, **more: Any) -> Run:
    inventory = str(ROOT / "molecule" / "engine" / "inventory")
    return playbook("site", "-i", inventory, "--limit", HOST, *arguments, vllm_models=MENU, **more)


def state() -> str:
    """All that a run could leave on the host."""
    places = "/opt /etc/vllm /etc/systemd/system /var/lib/vllm /var/cache/vllm /usr/local /etc/sysusers.d"
    return str(host(HOST).run(f"find {places} ! -type d 2>/dev/null | sort; id vllm; dpkg -l | md5sum").stdout)


def as_deployer(command: str, stdin: str = "") -> tuple[int, str]:
    """What the user whom Ansible logs in as gets."""
    words = ["ssh", "-F", str(STATE / "ssh" / "config"), "-l", USER, HOST, command]
    done = subprocess.run(words, input=stdin, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_the_host_has_no_way_out_and_no_ipv4_address() -> None:
    target = host(HOST)
    assert target.run("getent hosts example.com").rc != 0
    assert target.run("timeout 3 bash -c '</dev/tcp/192.0.2.1/80'").rc != 0
    assert target.run("timeout 3 bash -c '</dev/tcp/2001:db8::1/80'").rc != 0
    assert target.check_output("ip -4 -o address | grep -vc ' lo '; true") == "0"


def test_its_user_is_no_root_and_has_a_password_for_sudo_and_a_strict_umask() -> None:
    assert as_deployer("id -un; umask") == (0, f"{USER}\n0077")
    assert as_deployer("sudo -n true")[0] != 0
    assert as_deployer("sudo -S sh -c 'id -un; umask'", f"{PASSWORD}\n") == (0, "root\n0077")


def test_check_mode_on_a_bare_host_tells_what_would_come_and_leaves_it_bare() -> None:
    before = state()
    run = site("--check", "--diff")
    assert run.rc == 0
    assert run.recap[HOST]["changed"] >= 3
    assert "vllm-offline-embedding.service" in run.text
    assert "--kv-cache-memory-bytes 32M" in run.text
    assert state() == before


def test_a_half_finished_engine_is_built_afresh_and_the_endpoint_proven() -> None:
    target = host(HOST)
    # As a run leaves it whose build was killed: what it had made, with the lock beside it.
    target.check_output(
        "umask 022 && mkdir -p %s/bin && touch /opt/vllm/.building-0.32.0 && echo broken > %s/bin/vllm", ENGINE, ENGINE
    )
    target.check_output("chmod 755 %s/bin/vllm", ENGINE)
    run = site()
    assert run.rc == 0
    marker = json.loads(target.file(f"{ENGINE}/.complete.json").content_string)
    assert (marker["release"], marker["accelerator"]) == ("0.32.0", "cpu")
    assert target.check_output(
        "PYTHONDONTWRITEBYTECODE=1 %s/bin/vllm --version 2>/dev/null | tail -1", ENGINE
    ).startswith("0.32.0")
    assert "14/14" in run.text
    assert show(target, "vllm-offline-embedding.service", "ActiveState")["ActiveState"] == "active"


def test_engines_are_reached_over_the_only_address_that_there_is() -> None:
    port = int(MENU["offline-embedding"]["port"])
    target = host(HOST)
    assert target.check_output(f"ss -Hltn sport = :{port}").split()[3] in (f"*:{port}", f"[::]:{port}")
    status, answer = ask(HOST, port, "/v1/embeddings", {"model": "offline-embedding", "input": "ready"})
    assert (status, len(answer["data"])) == (200, 1)
    assert ask(HOST, port, "/v1/models", key=None)[0] == 401


def test_nothing_that_others_need_is_closed_to_them_and_no_secret_is_open() -> None:
    target = host(HOST)
    places = "/opt/vllm /usr/local/libexec /etc/vllm /var/lib/vllm /etc/sysusers.d /etc/tmpfiles.d /etc/needrestart"
    closed = target.check_output(
        f"find {places} -type d ! -perm -005 -o -type f ! -perm -004 ! -name '.building-*' | sort"
    ).splitlines()
    assert closed == ["/etc/vllm/secrets", "/etc/vllm/secrets/api_key.env"]
    assert target.check_output(f"find {places} ! -user root -o -perm /022 ! -type l") == ""


def test_the_user_kept_nothing_and_ansible_used_the_directory_that_it_was_given() -> None:
    target = host(HOST)
    assert target.check_output("find /home/%s/.cache/ansible-tmp -mindepth 1", USER) == ""
    assert not target.file(f"/home/{USER}/.ansible").exists


def test_nothing_of_the_transfer_stays_behind_and_the_engine_cannot_be_written_to() -> None:
    target = host(HOST)
    assert target.run("find / -xdev -name '*.whl' -size +1M -not -path '/proc/*' | grep .").rc != 0
    assert target.run("su -s /bin/sh vllm -c 'touch %s/x'", ENGINE).rc != 0


def test_old_releases_go_and_one_in_use_stays() -> None:
    target = host(HOST)
    # Somebody else's, of which nothing here knows.
    target.check_output("umask 022 && mkdir -p /opt/vllm/9.9.8/bin && touch /opt/vllm/9.9.8/bin/vllm")
    for release in ("0.1.0", "0.2.0"):
        marker = json.dumps(
            dict.fromkeys(("accelerator", "lock_sha256", "python", "finished_at"), "x") | {"release": release}
        )
        target.check_output(
            "umask 022 && mkdir -p /opt/vllm/%s/bin && echo %s > /opt/vllm/%s/.complete.json", release, marker, release
        )
        target.check_output(
            "cp /bin/sleep /opt/vllm/%s/bin/vllm && ln -sf /usr/bin/python3 /opt/vllm/%s/bin/python", release, release
        )
    target.check_output("systemd-run --unit in-use /opt/vllm/0.2.0/bin/vllm 600")
    try:
        run = site()
        assert run.rc == 0
        assert sorted(target.check_output("ls /opt/vllm").split())[:3] == ["0.2.0", "0.32.0", "9.9.8"]
    finally:
        target.check_output("systemctl stop in-use")
    again = site()
    assert (again.rc, again.changed) == (0, 1)
    assert not target.file("/opt/vllm/0.2.0").exists
    assert site().changed == 0
    assert target.file("/opt/vllm/9.9.8/bin/vllm").exists


def test_engines_are_not_laid_where_somebody_else_could_exchange_them() -> None:
    target = host(HOST)
    target.check_output("chown %s /opt/vllm", USER)
    try:
        refused = site("--check")
        assert refused.rc != 0
        assert f"/opt/vllm belongs to {USER} and not to root (chown root: /opt/vllm)" in " ".join(refused.text.split())
    finally:
        target.check_output("chown root: /opt/vllm")
