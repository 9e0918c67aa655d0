"""Where one command starts vLLM, whatever it is wrapped in: env, sudo, a shell, `docker run`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from ansible_collections.baremetal.vllm.plugins.module_utils.migration.shell import Word, assignment, commands

SERVER = "vllm.entrypoints.openai.api_server"
COMMAND_LINE = "vllm.entrypoints.cli.main"
_IMAGE = re.compile(r"(?:[\w.:/-]*/)?vllm[\w.-]*(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]+)?")
_RELEASE = re.compile(r"v?(\d+\.\d+\.\d+(?:\.post\d+)?)")
_ENGINES = ("docker", "podman", "nerdctl")
# Options of `docker run` and `podman run` that say something about vLLM, and those whose value may look like its image.
_ENVIRONMENT = ("-e", "--env")
_TAKE_A_WORD = (
    *("-v", "--volume", "--entrypoint", "--name", "-h", "--hostname", "--network", "--net", "-w", "--workdir"),
    *("-l", "--label", "-u", "--user", "--runtime"),
)
_SHELLS = ("sh", "bash")
# `-c`, `-lc`, `-ec`: the text after it is run.
_RUNS_TEXT = re.compile(r"-[a-z]*c")


@dataclass(frozen=True)
class Invocation:
    """`words`: what follows `vllm serve`; `release`: what the image's tag says; `notes`: what was found on the way."""

    words: list[Word]
    env: dict[str, str] = field(default_factory=dict)
    release: str = ""
    devices: str = ""
    notes: tuple[str, ...] = ()


def of_command(words: list[Word], env: Mapping[str, str], notes: tuple[str, ...]) -> Iterator[Invocation]:
    """Starts of vLLM in one command; where it runs an image of vLLM, its tag says the release."""
    image = _image(words)
    release = release_of(words[image].text) if image is not None else ""
    for found in _started(words, image, dict(env), notes):
        yield replace(found, release=found.release or release or "")


def release_of(image: str) -> str | None:
    """The release that an image's tag says, "" where it says none; None where the image is not vLLM's."""
    match = _IMAGE.fullmatch(image)
    if match is None:
        return None
    release = _RELEASE.match(match["tag"] or "")
    return release[1] if release else ""


def served(words: list[Word]) -> list[Word]:
    """What follows an image: `serve MODEL` is for an entrypoint that is `vllm` itself."""
    return words[1:] if words and words[0].text == "serve" else words


def _started(words: list[Word], image: int | None, env: dict[str, str], notes: tuple[str, ...]) -> Iterator[Invocation]:
    for index, word in enumerate(words):
        before, after = words[:index], words[index + 1 :]
        if _runs_server(word.text, before, after):
            yield _found(after, env, before[:-1] if word.text == "serve" else before, notes)
            return
        if _RUNS_TEXT.fullmatch(word.text) and after and _is_shell(before, image):
            outer = _found([], env, before, notes)
            for inner in commands(after[0].text):
                for found in of_command(inner, outer.env, outer.notes):
                    yield replace(found, devices=found.devices or outer.devices)
            return
    if image is not None:
        yield _found(served(words[image + 1 :]), env, words[:image], notes)


def _runs_server(text: str, before: list[Word], after: list[Word]) -> bool:
    """Whether options of the server follow this word: `vllm serve`, `-m MODULE`, `-m vllm.entrypoints.cli.main serve`."""
    last = [word.text for word in before[-2:]]
    if text == "serve" and after:
        return last[-1:] != [] and (last[-1].rpartition("/")[2] == "vllm" or last == ["-m", COMMAND_LINE])
    return (text == SERVER and last[-1:] == ["-m"]) or text.endswith("vllm/entrypoints/openai/api_server.py")


def _is_shell(before: list[Word], image: int | None) -> bool:
    """Whether `-c` behind these words is a shell's: right after it, or after an image whose entrypoint it is."""
    names = [word.text.rpartition("=")[2].rpartition("/")[2] for word in before]
    if image is not None and image == len(before) - 1:
        return any(name in _SHELLS for name in names[:image])
    return bool(names) and names[-1] in _SHELLS


def _found(words: list[Word], env: dict[str, str], before: list[Word], notes: tuple[str, ...]) -> Invocation:
    """An invocation, with the variables that the words before it set."""
    devices = ""
    said = list(notes)
    container = _is_container([word.text for word in before])
    for index, word in enumerate(before):
        option, sign, value = word.text.partition("=")
        following = before[index + 1] if index + 1 < len(before) else Word("")
        setting = word
        if option in _ENVIRONMENT:
            setting = Word(value, word.unknown) if sign else following
        elif option.startswith("--env="):
            setting = Word(word.text[6:], word.unknown)
        elif option == "--gpus":
            devices = value if sign else following.text
        pair = assignment(setting)
        # `--security-opt seccomp=unconfined` is an option's value, and no variable.
        of_option = container and setting is word and index > 0 and before[index - 1].text.startswith("-")
        if pair is None or (word.text.startswith("-") and setting is word) or of_option:
            continue
        if setting.unknown:
            said.append(f"{pair[0]} is {pair[1]}, which only the shell knows: left out")
        else:
            env[pair[0]] = pair[1]
    return Invocation(words, env, devices=devices, notes=tuple(said))


def _is_container(texts: list[str]) -> bool:
    """Whether these words are a `docker run`, or the like."""
    return "run" in texts and any(text.rpartition("/")[2] in _ENGINES for text in texts)


def _image(words: list[Word]) -> int | None:
    """The place of vLLM's image in a `docker run` or `podman run`."""
    texts = [word.text for word in words]
    if not _is_container(texts):
        return None
    for index in range(texts.index("run") + 1, len(texts)):
        if _IMAGE.fullmatch(texts[index]) and texts[index - 1] not in _TAKE_A_WORD:
            return index
    return None
