"""The first hour: inventories/one-host as an operator changes it, and commands of the documentation that exist."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import ansible_runs
import pytest
from ansible_collections.baremetal.vllm.plugins.plugin_utils.plan.variables import known_variables

ROOT = Path(__file__).resolve().parents[3]
TOOLS = Path(sys.executable).parent
PAGES = ("README.md", "docs/first-model.md")
KEY = "0123456789abcdef0123456789abcdef0123456789abcdef"
HUSH = "hush-in-the-proxy"
REAL = "gpu1.corp.internal"


def command(name: str, *arguments: str | Path, cwd: Path = ROOT, text: str = "") -> tuple[int, str]:
    done = ansible_runs.run(name, *arguments, cwd=cwd, text=text)
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """The inventory as the page has it copied and changed: a real host, a key of one's own in a vault."""
    copy = tmp_path / "my-host"
    shutil.copytree(ROOT / "inventories" / "one-host", copy)
    hosts = copy / "hosts.yml"
    hosts.write_text(hosts.read_text().replace("gpu1.example.com", REAL))
    (tmp_path / "password").write_text("of the vault\n")
    vault = ("--output", copy / "group_vars" / "all" / "vault.yml", "--vault-password-file", tmp_path / "password")
    assert command("ansible-vault", "encrypt", *vault, text=f"vault_vllm_api_key: {KEY}\n")[0] == 0
    return copy


def plan(inventory: Path, *arguments: str) -> tuple[int, str]:
    password = inventory.parent / "password"
    vault = ("--vault-password-file", password) if password.is_file() else ()
    return command("ansible-playbook", "baremetal.vllm.plan", "-i", inventory, *vault, *arguments)


def test_the_inventory_is_planned_as_it_is_with_a_word_about_its_key() -> None:
    code, text = plan(ROOT / "inventories" / "one-host")
    assert code == 0, text
    assert "gpu1.example.com qwen2.5-7b-instruct chat 0 ? of 45 GiB ? 0.0.0.0:8000" in text
    assert text.count("[WARNING]") == 1
    assert "vllm_api_key: is an example's placeholder" in text


def test_three_lines_and_a_key_make_a_plan_without_a_warning(mine: Path, tmp_path: Path) -> None:
    """With all further lines of the page as well, and a password in the proxy's address."""
    told = tmp_path / "plan.json"
    first, *further = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "first-model.md").read_text(), re.DOTALL)
    assert first
    more = "".join(further).replace("http://", f"http://ops:{HUSH}@")
    assert HUSH in more
    (mine / "group_vars" / "all" / "more.yml").write_text(more)
    code, text = plan(mine, "-vvv", "-e", f"vllm_plan_json={told}")
    assert code == 0, text
    assert f"{REAL} qwen2.5-7b-instruct chat 0" in text
    assert "[WARNING]" not in text
    assert KEY not in text + told.read_text()
    assert HUSH not in text + told.read_text()
    (service,) = json.loads(told.read_text())["plan"]["hosts"][REAL]["services"]
    assert (service["port"], service["kind"], service["prove"]["key"]) == (8000, "chat", True)


def test_a_real_host_is_not_planned_with_the_published_key(mine: Path) -> None:
    shutil.copy(ROOT / "inventories" / "one-host" / "group_vars" / "all" / "vault.yml", mine / "group_vars" / "all")
    code, text = plan(mine)
    assert code != 0
    assert "The inventory has 1 problem; no host was touched. - vllm_api_key: is an example's placeholder" in text


@pytest.mark.parametrize(("key", "said"), [("12345678901234567890", "Quote it"), ("null", "vllm_api_key: is not set")])
def test_a_key_that_yaml_made_something_else_of_is_told_in_a_sentence(mine: Path, key: str, said: str) -> None:
    text = plan(mine, "-e", f'{{"vllm_api_key": {key}}}')[1]
    assert said in text
    assert "has no len" not in text
    assert key not in text or key == "null"


def test_a_misspelt_variable_is_told_by_the_playbook(mine: Path) -> None:
    code, text = plan(mine, "-e", "vllm_adress=127.0.0.1")
    assert code == 0
    assert (
        f'[WARNING]: {REAL}.vllm_adress: is no variable of this collection, nothing reads it. Did you mean "vllm_address".'
        in text
    )


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ansible-playbook of the pages, in code blocks and in backticks, with the page."""
    for page in PAGES:
        text = (ROOT / page).read_text()
        for found in re.findall(r"ansible-playbook [^`#\n]+(?:\\\n[^`#\n]+)*", text.replace("\n-e ", " -e ")):
            yield page, shlex.split(found.replace("\\\n", " "))


def test_every_command_names_a_playbook_an_inventory_and_variables_that_exist() -> None:
    found = list(commands())
    assert {page for page, __ in found} == set(PAGES)
    # What a reader calls their own: the word for it, and the copy that the page has made.
    copies = re.findall(r"cp -r baremetal\.vllm/(\S+) (\S+)", (ROOT / "docs" / "first-model.md").read_text())
    assert [(ROOT / source).is_dir() for source, __ in copies] == [True]
    inventories = {"INVENTORY", *(copy for __, copy in copies)}
    for page, words in found:
        playbook = words[1]
        name = (
            playbook.removeprefix("baremetal.vllm.") if playbook.startswith("baremetal.vllm.") else Path(playbook).stem
        )
        assert (ROOT / "playbooks" / f"{name}.yml").is_file(), (page, words)
        for option, value in zip(words, words[1:]):
            if option == "-i":
                assert value in inventories or (ROOT / value).exists(), (page, words)
            if option == "-e":
                assert value.partition("=")[0] in known_variables(), (page, words)
        for word in words[2:]:
            if word.startswith("--"):
                assert word in ("--diff", "--check", "--limit", "--ask-vault-pass", "--ask-become-pass"), (page, words)


def test_every_variable_that_the_pages_name_exists() -> None:
    text = "".join((ROOT / page).read_text() for page in PAGES)
    names = set(re.findall(r"`((?:vllm|wheelhouse|nvidia_driver|model_weights|gpu|retire)_[a-z_]+)\b", text))
    roles = {path.name for path in (ROOT / "roles").iterdir()}
    assert len(names) > 15
    assert names - roles - known_variables() == set()


def test_the_first_model_takes_at_most_six_commands_and_the_page_leads_on() -> None:
    page = (ROOT / "docs" / "first-model.md").read_text()
    block = page.partition("```sh\n")[2].partition("```")[0]
    assert len(block.replace("\\\n", "").splitlines()) <= 6
    assert "docs/first-model.md" in (ROOT / "README.md").read_text()
    anchors = [
        re.sub(r"[^a-z0-9 -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in page.splitlines()
        if line[:1] == "#"
    ]
    for target in re.findall(r"\]\(([^)]+)\)", page):
        path, __, anchor = target.partition("#")
        if not target.startswith("https://"):
            assert not path or (ROOT / "docs" / path).exists(), target
            assert path or anchor in anchors, target


def test_the_lines_of_the_page_are_lines_of_the_inventory() -> None:
    page = (ROOT / "docs" / "first-model.md").read_text()
    block = page.partition("```yaml\n")[2].partition("```")[0]
    lines = [line.partition("#")[0].strip() for line in block.splitlines()]
    assert len(lines) == 3
    hosts = [line.strip() for line in (ROOT / "inventories" / "one-host" / "hosts.yml").read_text().splitlines()]
    assert set(lines) <= set(hosts)


def test_the_key_of_the_page_reaches_curl_and_no_command_line(mine: Path, tmp_path: Path) -> None:
    """The page's own two commands, with a curl that shows what it was given."""
    page = (ROOT / "docs" / "first-model.md").read_text()
    block = page.partition("Here with the key")[2].partition("```sh\n")[2].partition("```")[0]
    curl = tmp_path / "bin" / "curl"
    curl.parent.mkdir()
    curl.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/words\ncat > {tmp_path}/stdin\n')
    curl.chmod(0o755)
    environment = {
        **os.environ,
        "PATH": f"{curl.parent}:{TOOLS}:{os.environ['PATH']}",
        "ANSIBLE_VAULT_PASSWORD_FILE": str(tmp_path / "password"),
    }
    done = subprocess.run(
        ["bash", "-eu", "-c", block], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "stdin").read_text() == f"Authorization: Bearer {KEY}\n"
    words = (tmp_path / "words").read_text()
    assert KEY not in words
    assert ":8000/v1/chat/completions -H @- " in words
