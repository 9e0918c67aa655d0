"""`docker run`, `podman run` and the like as a container: image, command, variables, GPUs, ports, mounts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import FURTHER, Mount
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Word

ENGINES = ("docker", "podman", "nerdctl", "docker.io")
# Options of `docker run` and `podman run` that take no value (Docker's and Podman's references); all others take one.
_SWITCHES = frozenset(
    [
        "--detach",
        "--interactive",
        "--tty",
        "--rm",
        "--privileged",
        "--init",
        "--read-only",
        "--no-healthcheck",
        "--oom-kill-disable",
        "--publish-all",
        "--sig-proxy",
        "--disable-content-trust",
        "--quiet",
        "--replace",
        "--rmi",
        "--no-hosts",
        "--no-hostname",
        "--env-host",
        "--http-proxy",
        "--read-only-tmpfs",
        "--unsetenv-all",
        "--passwd",
        "--tls-verify",
        "--use-api-socket",
        "--attach-stdin",
        "--help",
    ]
)
_SHORT_SWITCHES = "ditPq"
_CDI = re.compile(r"(?:nvidia|amd)\.com/gpu=([\w:-]+)")


@dataclass
class Container:
    """`entrypoint` None: the image's own. `gpus`: see Start."""

    image: str
    entrypoint: list[Word] | None = None
    command: list[Word] = field(default_factory=list)
    env: dict[str, Word] = field(default_factory=dict)
    gpus: str = ""
    ports: list[tuple[str, str]] = field(default_factory=list)
    mounts: list[Mount] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    directory: str | None = None
    host_network: bool = False
    env_files: list[str] = field(default_factory=list)


def container_of(words: Sequence[Word]) -> tuple[int, Container] | None:
    """The container of a `docker run`, and where in the words its engine stands; None where it is none."""
    for index, word in enumerate(words):
        if word.text.rpartition("/")[2] not in ENGINES:
            continue
        verbs = [i for i in range(index + 1, len(words)) if words[i].text in ("run", "create")]
        between = words[index + 1 : verbs[0]] if verbs else words
        # Global options before the verb; `docker compose run` and `docker exec` are something else.
        if verbs and all(
            one.text.startswith("-") or one.text == "container" or "=" in one.text or "/" in one.text for one in between
        ):
            return index, _run(words[verbs[0] + 1 :])
    return None


def _run(words: Sequence[Word]) -> Container:
    container, at = Container(""), 0
    devices: list[str] = []
    while at < len(words):
        text = words[at].text
        if text == "--":
            at += 1
            break
        if words[at].loose and FURTHER.search(text):
            container.notes.append(f"{text} holds further options of the container, which only the shell knows")
            at += 1
            continue
        if not text.startswith("-"):
            break
        name, sign, value = text.partition("=")
        word = Word(value, words[at].gaps)
        if not text.startswith("--"):
            letters = text[1:]
            while letters[:1] and letters[0] in _SHORT_SWITCHES:
                letters = letters[1:]
            if not letters:
                at += 1
                continue
            name, sign, word = f"-{letters[0]}", letters[1:], Word(letters[1:].removeprefix("="), words[at].gaps)
        elif name in _SWITCHES:
            at += 1
            continue
        if not sign:
            at += 1
            word = words[at] if at < len(words) else Word("")
        _option(container, name, word, devices)
        at += 1
    if container.host_network:
        container.ports = []
    if devices and not container.gpus:
        container.gpus = ",".join(devices)
    if at < len(words):
        container.image = words[at].text
        container.notes += defaults_in("the image", words[at])
        container.command = list(words[at + 1 :])
    return container


def _option(container: Container, name: str, word: Word, devices: list[str]) -> None:
    text = word.text
    if name not in ("-e", "--env"):
        container.notes += defaults_in(name, word)
    if name in ("-e", "--env"):
        key, sign, value = text.partition("=")
        if sign:
            container.env[key] = Word(value, word.gaps)
        else:
            container.notes.append(f"{key} comes from the environment of whoever starts it: left out")
    elif name == "--env-file":
        container.env_files.append(text)
    elif name == "--entrypoint":
        container.entrypoint = [word] if text else []
    elif name == "--gpus":
        container.gpus = gpus_of(text)
    elif name == "--device" and (match := _CDI.fullmatch(text)):
        devices.append(match[1])
    elif name in ("-p", "--publish"):
        container.ports.append(port_of(text))
    elif name in ("-v", "--volume"):
        container.mounts += mount_of(text)
    elif name == "--mount":
        container.mounts += _long_mount(text)
    elif name in ("--network", "--net") and text == "host":
        # The engine discards what is published then.
        container.host_network = True
    elif name in ("-w", "--workdir"):
        container.directory = text


def defaults_in(place: str, word: Word) -> list[str]:
    """What is told of a value for which defaults are taken."""
    return [
        f"{place} holds {gap.written}{gap.why and f', which is {gap.why}'}: its default is taken here"
        for gap in word.gaps
        if gap.taken
    ]


def gpus_of(text: str) -> str:
    """`--gpus` as Docker reads it: a count, `all`, or `device=0,1`, perhaps among further settings."""
    text = text.strip("\"'")
    if text.isdigit():
        return f"count={text}"
    if text == "all":
        return "all"
    found = re.search(r"\"?'?device=([^\"']*?)(?=[\"']|,\w+=|$)", text)
    count = re.search(r"count=(\w+)", text)
    if found:
        return found[1]
    if count:
        return f"count={count[1]}" if count[1].isdigit() else "all"
    return text


def port_of(text: str) -> tuple[str, str]:
    """`-p`: the host's port ("" where the engine chooses one) and the container's, of `[address:][host:]container[/tcp]`."""
    parts = re.sub(r"\[[^\]]*\]", "", text.partition("/")[0]).rsplit(":", 2)
    return ("" if len(parts) == 1 else parts[-2]), parts[-1]


def mount_of(text: str) -> list[Mount]:
    """`-v source:target[:options]`; a volume without a source has nothing of the host."""
    # ${X:-/srv}:/models has a colon of its own.
    parts = re.findall(r"(?:\$\{[^}]*\}|[^:])+", text)
    if len(parts) < 2:
        return []
    return [Mount(parts[0], parts[1], named=not parts[0].startswith(("/", ".", "~", "$")))]


def _long_mount(text: str) -> list[Mount]:
    keys = dict(part.partition("=")[::2] for part in text.split(","))
    source = keys.get("source") or keys.get("src") or ""
    target = keys.get("target") or keys.get("dst") or keys.get("destination") or ""
    return [Mount(source, target, named=keys.get("type", "volume") != "bind")] if target else []
