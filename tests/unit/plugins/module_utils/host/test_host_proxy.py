"""One variable for the proxy: what it may be, what programs are handed, and that nothing of a password is told."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest

pytest.importorskip("ansible.plugins", reason="ansible-test runs what lies here as on a host: without the control node")

from ansible.errors import AnsibleActionFail
from ansible_collections.baremetal.vllm.plugins.module_utils.host import job, proxy
from ansible_collections.baremetal.vllm.plugins.module_utils.text.problems import Problems
from ansible_collections.baremetal.vllm.plugins.plugin_utils.actions.control import behind_proxy
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.proxy import check_proxy
from hypothesis import given
from hypothesis import strategies as st

GOOD = "http://proxy.corp:3128"
SECRET = "http://ops:pa%40ss@proxy.corp:3128"


@pytest.mark.parametrize("url", [GOOD, SECRET, "https://10.0.0.9:8080/", "http://[fd00::9]:3128", "http://u@p:1"])
def test_what_is_a_proxy(url: str) -> None:
    problems = Problems()
    check_proxy({"vllm_proxy": url, "vllm_no_proxy": ["mirror.lan", ".corp", "10.0.0.0/8", "*", "fd00::1"]}, problems)
    assert not problems.found
    variables = proxy.environment(url, ["mirror.lan", "localhost"])
    assert {variables[name] for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")} == {url}
    assert variables["no_proxy"] == variables["NO_PROXY"] == "localhost,127.0.0.1,::1,mirror.lan"


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"vllm_proxy": "proxy.corp:3128"}, "vllm_proxy: is no address of a proxy. Write http://proxy."),
        ({"vllm_proxy": "http://ops:hush@proxy.corp"}, "vllm_proxy: names no port."),
        ({"vllm_proxy": "http://ops:hu/sh@proxy.corp:3128"}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_proxy": "http://ops:hu sh@proxy.corp:3128"}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_proxy": "http://ops:hush@proxy.corp:31x8"}, "vllm_proxy: has a port that is no number."),
        ({"vllm_proxy": "http://ops:hush@proxy.corp:99999"}, "vllm_proxy: has a port that is no number."),
        ({"vllm_proxy": "http://ops:hush@:3128"}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_proxy": 'http://p:1"'}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_proxy": "socks5://ops:hush@proxy.corp:1080"}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_proxy": ["http://ops:hush@proxy.corp:3128"]}, "vllm_proxy: is no address of a proxy."),
        ({"vllm_no_proxy": ["a b;c"]}, "vllm_no_proxy: 'b;c' is no host, domain or network. Write [mirror.lan, "),
        ({"vllm_no_proxy": 7}, "vllm_no_proxy: '7' is no host, domain or network."),
        ({"vllm_no_proxy": {"a": 1}}, "is no host, domain or network."),
        (
            {"vllm_engine_environment": {"HTTPS_PROXY": "http://ops:hush@p:1", "UV_CONCURRENT_DOWNLOADS": 4}},
            "vllm_engine_environment.HTTPS_PROXY: holds a user and a password, which tools and logs would show. Give the proxy in"
            " vllm_proxy, from a vault.",
        ),
    ],
)
def test_what_is_none_is_told_without_the_password(declared: dict[str, Any], said: str) -> None:
    problems = Problems()
    check_proxy(declared, problems, "h1")
    (problem,) = problems.found
    assert said in str(problem)
    assert "hush" not in str(problem)
    if "vllm_proxy" in declared and isinstance(declared["vllm_proxy"], str):
        with pytest.raises(ValueError, match=r"vllm_proxy .*: write http://proxy\.example\.com:3128") as raised:
            proxy.environment(declared["vllm_proxy"])
        assert "hush" not in str(raised.value)


# What else stands in the text may well be a single letter of the password.
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4).filter(lambda text: text.strip("…") == text))
def test_no_password_is_told_in_either_form(password: str) -> None:
    url = f"http://ops:{quote(password, safe='')}@proxy.corp:3128"
    assert proxy.fault(url) == ""
    told = proxy.without_secrets(f"<{url}> <{quote(password, safe='')}> <{password}>", url)
    assert told == "<…> <…> <…>"
    assert proxy.secrets(GOOD) == proxy.secrets("") == set()


def test_without_a_proxy_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://of-the-shell:1")
    before = dict(os.environ)
    with behind_proxy({}), behind_proxy({"proxy": "", "no_proxy": ["x"]}):
        assert dict(os.environ) == before


def test_an_action_goes_through_it_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://of-the-shell:1")
    monkeypatch.delenv("HTTP_PROXY", raising=False)
    before = dict(os.environ)
    with behind_proxy({"proxy": SECRET, "no_proxy": "mirror.lan,10.0.0.1"}):
        assert os.environ["https_proxy"] == os.environ["HTTP_PROXY"] == SECRET
        assert os.environ["no_proxy"].endswith(",mirror.lan,10.0.0.1")
    assert dict(os.environ) == before
    with pytest.raises(AnsibleActionFail, match="vllm_proxy names no port"), behind_proxy({"proxy": "http://proxy"}):
        pass


def test_what_the_operator_sets_for_the_engine_counts_in_both_spellings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "no_proxy"):
        monkeypatch.setenv(name, "")
        monkeypatch.setenv(name.upper(), "")
    module = SimpleNamespace(params={"proxy": SECRET, "no_proxy": []}, no_log_values=set())
    proxy.enter(module, own=["HTTPS_PROXY"])
    assert os.environ["https_proxy"] == os.environ["HTTPS_PROXY"] == ""
    assert os.environ["http_proxy"] == SECRET
    assert {"pa%40ss", "pa@ss"} <= module.no_log_values


def test_a_driver_job_has_it_from_a_file_that_only_root_reads(tmp_path: Path) -> None:
    """systemd shows everybody the variables of --setenv, in the command line and in the unit's properties."""
    ran: list[list[str]] = []
    secret = tmp_path / "job.env"
    held: list[tuple[str, int]] = []

    def run(argv: list[str]) -> tuple[int, str, str]:
        ran.append(argv)
        if argv[0] == "systemd-run":
            held.append((secret.read_text(), stat.S_IMODE(secret.stat().st_mode)))
        return 0, "", ""

    # What a run that was cut off left behind, open to all.
    secret.write_text("old")
    secret.chmod(0o644)
    one = job.Job("job.service", run, tmp_path)
    one.start("install", ["apt-get", "install", "x"], tmp_path / "log", {"LC_ALL": "C"}, proxy.environment(SECRET))
    assert "pa%40ss" not in str(ran)
    assert f"--property=EnvironmentFile={secret}" in next(argv for argv in ran if argv[0] == "systemd-run")
    ((text, mode),) = held
    assert f'https_proxy="{SECRET}"\n' in text
    assert mode == 0o600
    one.forget()
    assert not secret.exists()
