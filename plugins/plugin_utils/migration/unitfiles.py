"""systemd units and Podman's quadlets, read by the collection's own reader of unit files.

Sources: systemd.service(5) "COMMAND LINES", systemd.exec(5) "ENVIRONMENT", podman-systemd.unit(5) "CONTAINER UNITS".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.module_utils.units import quoting
from ansible_collections.baremetal.vllm.plugins.module_utils.units.unitfile import UnitFile, read_unit
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.compose import env_file
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.docker import container_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.starts import of_container, of_words
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Gap, Word

_PREFIXES = "-@:+!|"
_SPECIFIER = re.compile(r"%[A-Za-z]")
_NAME = re.compile(r"\$\{([A-Za-z_]\w*)\}|\$([A-Za-z_]\w*)")
_SHELL = re.compile(r"(&|&&|\|\|?|[0-9&]?>>?(&?[0-9-]|/\S+)?|<|;|#.*)$")
# Keys of a quadlet and the option of `podman run` that each stands for.
_KEYS = {
    "Environment": "--env",
    "EnvironmentFile": "--env-file",
    "PublishPort": "--publish",
    "Volume": "--volume",
    "Mount": "--mount",
    "AddDevice": "--device",
    "Network": "--network",
    "Entrypoint": "--entrypoint",
    "WorkingDir": "--workdir",
}


def is_unit(text: str) -> bool:
    """Whether the first line that says something is a section's, or a setting of a service's."""
    lines = (line.strip() for line in text.split("\n"))
    first = next((line for line in lines if line and line[0] not in "#;"), "")
    return re.fullmatch(r"\[[A-Z][A-Za-z-]*\]", first) is not None or (
        re.match(r"(ExecStart|Environment|EnvironmentFile|User|Type|WorkingDirectory|Description)\s*=", first)
        is not None
        and re.search(r"^\s*ExecStart\s*=", text, re.M) is not None
    )


def of_unit(text: str, read: Callable[[str], str | None]) -> Iterator[Start]:
    """Starts of vLLM in a unit or a quadlet. `read`: a file beside it."""
    unit = read_unit(text)
    if unit.section("Container"):
        yield from _quadlet(unit)
        return
    # A fragment without its section's line is read as the section that has these keys.
    section = unit.section("Service") or unit.section("")
    env, notes = _environment(section, read)
    directory = (section.get("WorkingDirectory") or ("",))[-1].lstrip("-")
    for line in section.get("ExecStart", ()):
        command = line.lstrip(_PREFIXES)
        words = _command(command, env, line[: len(line) - len(command)])
        said = [f"{s} is a specifier that systemd replaces" for s in dict.fromkeys(_specifiers(line))]
        words = _until_shell(words, said)
        for start in of_words(words, {name: Word(value) for name, value in env.items()}):
            yield replace(
                start,
                notes=(*notes, *said, *start.notes),
                directory=start.directory or (directory if directory.startswith("/") else None),
            )


def _environment(
    section: Mapping[str, Sequence[str]], read: Callable[[str], str | None]
) -> tuple[dict[str, str], list[str]]:
    env: dict[str, str] = {}
    notes: list[str] = []
    for line in section.get("Environment", ()):
        env.update({name: value for name, sign, value in (word.partition("=") for word in quoting.words(line)) if sign})
    for line in section.get("EnvironmentFile", ()):
        path = line.lstrip("-")
        text = read(path)
        if text is None:
            notes.append(f"The unit reads further variables from {path}: they are not here")
        else:
            env.update(env_file(text))
    return env, notes


def _until_shell(words: list[Word], notes: list[str]) -> list[Word]:
    """systemd has no pipes, redirections or comments: what is one for a shell reaches vLLM as a word, and is left out here."""
    at = next((index for index, word in enumerate(words) if _SHELL.match(word.text)), None)
    if at is None or any(word.text.rpartition("/")[2] in ("sh", "bash") for word in words[:at]):
        return words
    rest = " ".join(word.text for word in words[at:])
    notes.append(f"`{rest}` is a shell's and not systemd's, which hands it to the command as words: left out")
    return words[:at]


def _specifiers(line: str) -> list[str]:
    return _SPECIFIER.findall(line.replace("%%", ""))


def _command(line: str, env: Mapping[str, str], prefix: str = "") -> list[Word]:
    """The words of a command; `$NAME` that is a word is as many as its value has, `${NAME}` and others stay one.

    `prefix`: what stands before the path in `ExecStart=`.
    """
    found: list[Word] = []
    for raw in quoting.words(line):
        alone = re.fullmatch(r"\$([A-Za-z_]\w*)", raw)
        if alone and ":" not in prefix:
            if alone[1] in env:
                found += [Word(part) for part in quoting.words(env[alone[1]])]
            else:
                found.append(Word(raw, (Gap(raw, outside=True),), True))
            continue
        found.append(_word(raw, env) if ":" not in prefix else Word(raw))
    # `@`: the second word is what the process is called.
    return [*found[:1], *found[2:]] if "@" in prefix else found


def _word(raw: str, env: Mapping[str, str]) -> Word:
    gaps: list[Gap] = []

    def put(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        name = match[1] or match[2]
        if match[1] is None:
            # Within a word only ${NAME} is a variable.
            return match[0]
        if name in env:
            return env[name]
        gaps.append(Gap(match[0], outside=True))
        return match[0]

    text = re.sub(rf"\$\$|{_NAME.pattern}", put, raw)
    gaps += [Gap(specifier, "a specifier that systemd replaces") for specifier in _specifiers(raw)]
    return Word(text, tuple(gaps), bool(gaps) and _NAME.fullmatch(text) is not None)


def _quadlet(unit: UnitFile) -> Iterator[Start]:
    """A `.container` file as the `podman run` that its generator makes of it."""
    section = unit.section("Container")
    words: list[Word] = [Word("podman"), Word("run")]
    for key, option in _KEYS.items():
        for line in section.get(key, ()):
            values = quoting.words(line) if key in ("Environment", "AddDevice") else [line]
            for value in values:
                text = value.lstrip("-") if key in ("EnvironmentFile", "AddDevice") else value
                words += [Word(option), Word(text)]
    for line in section.get("PodmanArgs", ()):
        words += [Word(part) for part in quoting.words(line)]
    image = (section.get("Image") or ("",))[-1]
    words.append(Word(image))
    for line in section.get("Exec", ())[-1:]:
        words += _command(line, {})
    container = container_of(words)
    if container is not None:
        if not image or image.endswith((".image", ".build")):
            container[1].notes.append(f"Image={image} names another quadlet: which release it is, is not said here")
        container[1].notes += [
            f"{s} is a specifier that systemd replaces"
            for s in dict.fromkeys(_specifiers(" ".join(w.text for w in words)))
        ]
        yield from of_container(container[1])
