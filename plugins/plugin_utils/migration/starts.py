"""Where a command starts vLLM, whatever it is wrapped in: env, sudo, numactl, a shell, ssh, tmux, `docker run`."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.docker import Container, container_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.images import release_named, release_of
from ansible_collections.baremetal.vllm.plugins.plugin_utils.migration.start import Mount, Start
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.bounds import Work
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.run import Ran, Walk, commands
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.state import ShellState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.tree import ShellError
from ansible_collections.baremetal.vllm.plugins.plugin_utils.shell.values import Piece, Variable, Word

SERVER = "vllm.entrypoints.openai.api_server"
COMMAND_LINE = "vllm.entrypoints.cli.main"
SHELLS = ("sh", "bash", "dash", "zsh", "ksh")
# `-c`, `-lc`, `-ec`: the text after it is run.
_RUNS_TEXT = re.compile(r"-[a-zA-Z]*c")
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.S)
# Commands whose words are text to them, and that run none of it.
_TALK = frozenset(
    [
        "echo",
        "printf",
        "cat",
        "grep",
        "egrep",
        "fgrep",
        "pgrep",
        "pkill",
        "killall",
        "kill",
        "ps",
        "which",
        "type",
        "man",
        "logger",
        "tee",
        "sed",
        "awk",
        "ls",
        "cp",
        "mv",
        "rm",
        "tail",
        "head",
        "git",
        "curl",
        "wget",
        "pip",
        "pip3",
        "apt",
        "apt-get",
        "dnf",
        "yum",
        "systemctl",
        "journalctl",
        "alias",
        "true",
        "false",
        ":",
        "[",
        "test",
    ]
)
_SSH_TAKE = frozenset(
    [
        "-b",
        "-c",
        "-D",
        "-E",
        "-e",
        "-F",
        "-I",
        "-i",
        "-J",
        "-L",
        "-l",
        "-m",
        "-O",
        "-o",
        "-p",
        "-Q",
        "-R",
        "-S",
        "-W",
        "-w",
    ]
)
_TMUX_TAKE = frozenset(["-t", "-s", "-n", "-c", "-x", "-y", "-F", "-e", "-N", "-f", "-L", "-S"])
_MEANT = re.compile(r"(--?[A-Za-z][\w.-]*|(?:\S*/)?vllm|serve|python3?)[ \t]+(\S.*)", re.S)
# Options of env, sudo and systemd-run behind which a variable is set.
_ALONE = ("-E", "-i", "-H", "-S", "-n", "-A", "-P", "-b", "-", "--", "--preserve-env", "--login", "--setenv")
# What these do to a process, a unit of ours does not do by itself.
_SHAPES = {
    "numactl": "NUMAPolicy= and NUMAMask=",
    "taskset": "CPUAffinity=",
    "nice": "Nice=",
    "ionice": "IOSchedulingClass=",
    "chrt": "CPUSchedulingPolicy=",
    "timeout": "RuntimeMaxSec=",
    "prlimit": "Limit…=",
}


def of_walk(walk: Walk) -> list[Start]:
    """Every start among the commands that a script comes by."""
    work = walk.work or Work()
    found = [start for ran in walk.found for start in of_ran(ran, work)]
    if work.over:
        # By the texts that it runs, which are followed after the script itself.
        walk.stop()
    likely = [start for start in found if not start.passed_over]
    if likely:
        left = [start for start in found if start.passed_over]
        lines = sorted({start.line for start in left if start.line not in {one.line for one in likely}})
        note = [f"Line {line} starts a server on another way through the script: it is not here" for line in lines]
        found = [replace(start, notes=(*start.notes, *note)) for start in likely]
    return [replace(start, notes=(*walk.notes, *start.notes)) for start in found]


def of_ran(ran: Ran, work: Work) -> Iterator[Start]:
    """Starts of vLLM in one command that a shell comes by. `work`: what is left to be followed of the whole script."""
    notes = [*ran.remarks]
    if ran.conditions:
        notes.append(f"Line {ran.line} is reached {' and '.join(ran.conditions)}")
    notes += [f"Line {ran.line}: {belief}" for belief in ran.beliefs]
    for gap in ran.further:
        notes.append(f"{gap.written} may hold further words of the command{f': {gap.why}' if gap.why else ''}")
    for start in of_words(ran.words, ran.env, ran.input, ran.line, work):
        yield replace(
            start,
            notes=(*notes, *start.notes),
            line=ran.line,
            directory=start.directory or ran.directory,
            passed_over=ran.passed_over,
        )


def of_words(
    words: Sequence[Word],
    env: Mapping[str, Word],
    given: str | None = None,
    line: int = 0,
    work: Work | None = None,
) -> Iterator[Start]:
    """Starts of vLLM in the words of one command. `given`: its here-document."""
    machine = _machine(words)
    for start in _of_words(words, env, given, line, work):
        yield replace(start, machine=start.machine or machine)


def _of_words(
    words: Sequence[Word], env: Mapping[str, Word], given: str | None, line: int, work: Work | None
) -> Iterator[Start]:
    name = _base(words[0].text) if words else ""
    if name in _TALK:
        return
    at = next((index for index in range(len(words)) if _serves(words, index)), None)
    container = container_of(words)
    if container is not None and (at is None or at > container[0]):
        before = _before(words[: container[0]], dict(env), ())
        yield from (replace(one, notes=(*before.notes, *one.notes)) for one in of_container(container[1], work))
        return
    text = _text(words)
    if text is not None and (at is None or text[1] <= at):
        outer = _before(words[: text[1]], {} if text[2] else dict(env), ())
        found = list(of_text(text[0], outer.env, line, outer.notes, outer.release, work))
        if not found and given is not None:
            # `ssh host bash -s` gets its commands from the here-document.
            found = list(of_text(Word(given), outer.env, line + 1, outer.notes, outer.release, work))
        yield from found
        return
    if at is not None:
        start = _before(words[: at + 1], dict(env), tuple(_prefixes(words[:at])))
        module = words[at].text != "serve"
        yield replace(start, words=tuple(words[at + 1 :]), module=module)
        return
    if given is not None and any(_base(word.text) in (*SHELLS, "ssh") for word in words):
        yield from of_text(Word(given), {} if name == "ssh" else env, line + 1, (), "", work)


def of_text(
    text: Word, env: Mapping[str, Word], line: int, notes: tuple[str, ...], release: str, work: Work | None = None
) -> Iterator[Start]:
    """Starts in a text that a shell runs. A text that is no shell's is told.

    Raises ShellError: where the text names vLLM and bash would not parse it.
    """
    taken = tuple(
        f"{gap.written} stands in the text of line {line}{gap.why and f', which is {gap.why}'}: that is taken here"
        for gap in text.gaps
        if gap.taken
    )
    state = ShellState(work=work or Work())
    for name, word in env.items():
        gap = next(iter(word.gaps), None)
        state.set(name, Variable(((Piece(word.text, gap),),)))
        state.exported.add(name)
    try:
        walk = commands(text.text, state, line=max(line, 1))
    except ShellError as error:
        if "vllm" in text.text:
            raise ShellError(line, f"the text that is run there cannot be read ({error})") from error
        return
    for start in of_walk(walk):
        yield replace(start, notes=(*notes, *taken, *start.notes), release=start.release or release)


def of_container(container: Container, work: Work | None = None) -> Iterator[Start]:
    """Starts of vLLM in a container: by its command, or by the entrypoint of vLLM's own image."""
    release = release_of(container.image)
    notes = list(container.notes)
    # An empty entrypoint leaves the command alone to say what is run.
    words = _meant([*(container.entrypoint or []), *container.command], notes)
    found = list(of_words(words, container.env, work=work)) if words else []
    if not found and not container.entrypoint and release is not None and (not words or _are_options(words)):
        rest = words[1:] if words and words[0].text == "serve" else words
        found = [Start(tuple(rest), container.env)]
    for start in found:
        gpus, said = start.gpus or container.gpus, notes
        visible = container.env.get("NVIDIA_VISIBLE_DEVICES")
        if not gpus and visible is not None and visible.text not in ("void", "none", ""):
            gpus = visible.text
        yield replace(
            start,
            env={name: word for name, word in start.env.items() if name != "NVIDIA_VISIBLE_DEVICES"},
            release=start.release or release or "",
            gpus=gpus,
            ports=tuple(container.ports),
            mounts=tuple(container.mounts),
            notes=(*said, *start.notes),
            container=True,
            directory=container.directory,
            env_files=tuple(container.env_files),
        )


def _are_options(command: Sequence[Word]) -> bool:
    """Whether an image of vLLM gets options or a model, and not another program."""
    if not command:
        return False
    first = command[0].text
    return " " not in first and (first.startswith("-") or first == "serve" or "/" in first or "$" in first)


def _meant(command: Sequence[Word], notes: list[str]) -> list[Word]:
    """An item `--dtype auto` of a list is one word, which vLLM refuses; it is read as two."""
    found: list[Word] = []
    for index, word in enumerate(command):
        match = _MEANT.fullmatch(word.text)
        after_text = index > 0 and command[index - 1].text.startswith("-") and command[index - 1].text.endswith("c")
        if match is None or after_text or "=" in match[1]:
            found.append(word)
            continue
        try:
            parts = shlex.split(word.text) if "{" not in word.text else [match[1], match[2].strip("'")]
        except ValueError:
            parts = [match[1], match[2]]
        notes.append(f"The item `{word.text}` is one word, with which vLLM would not start: it is read as {len(parts)}")
        found += [Word(part, word.gaps) for part in parts]
    return found


def _base(text: str) -> str:
    return text.rpartition("/")[2]


def _serves(words: Sequence[Word], index: int) -> bool:
    """Whether options of the server follow this word: `vllm serve`, `-m MODULE`, `-m vllm.entrypoints.cli.main serve`."""
    text = words[index].text
    before = [word.text for word in words[max(index - 2, 0) : index]]
    if text == "serve" and before:
        return re.fullmatch(r"vllm([@=]=?[\w.]+)?", _base(before[-1])) is not None or before == ["-m", COMMAND_LINE]
    return (text == SERVER and before[-1:] == ["-m"]) or text.endswith("vllm/entrypoints/openai/api_server.py")


def _text(words: Sequence[Word]) -> tuple[Word, int, bool] | None:
    """A text that a shell is given to run, where its words begin, and whether it runs elsewhere, without our variables."""
    for index, word in enumerate(words):
        name = _base(word.text)
        rest = words[index + 1 :]
        if name in (*SHELLS, "su", "runuser"):
            for offset, option in enumerate(rest[:-1]):
                if _RUNS_TEXT.fullmatch(option.text) or option.text == "--command":
                    return rest[offset + 1], index, name not in SHELLS
                if not option.text.startswith(("-", "+")) and name in SHELLS:
                    break
        elif name in ("ssh", "autossh", "sshpass") and name != "sshpass":
            host = _behind(rest, _SSH_TAKE)
            if host is not None and rest[host + 1 :]:
                return _joined(rest[host + 1 :]), index, True
        elif name in ("tmux", "byobu"):
            text = _tmux(rest)
            return None if text is None else (text, index, False)
        elif name == "screen" and any(one.text == "stuff" for one in rest[:-1]):
            at = next(offset for offset, one in enumerate(rest) if one.text == "stuff")
            return Word(re.sub(r"(\\n|\^M|\\r|\s)+$", "", rest[at + 1].text), rest[at + 1].gaps), index, False
        elif name == "env" and [one.text for one in rest[:1]] in (["-S"], ["--split-string"]) and rest[1:]:
            return _joined(rest[1:]), index, False
        elif name == "watch" and len(rest) and " " in rest[-1].text:
            return rest[-1], index, False
    return None


def _machine(words: Sequence[Word]) -> str:
    """Where ssh, whatever stands before it, runs what it is given; "" where the words hold no ssh."""
    at = next((index for index, word in enumerate(words) if _base(word.text) in ("ssh", "autossh")), None)
    host = _behind(words[at + 1 :], _SSH_TAKE) if at is not None else None
    return words[at + 1 + host].text if at is not None and host is not None else ""


def _behind(words: Sequence[Word], take: frozenset[str]) -> int | None:
    """The first word that is no option and no option's value."""
    at = 0
    while at < len(words):
        text = words[at].text
        if not text.startswith("-") or text == "-":
            return at
        at += 2 if text in take else 1
    return None


def _joined(words: Sequence[Word]) -> Word:
    return Word(" ".join(word.text for word in words), tuple(gap for word in words for gap in word.gaps))


def _tmux(words: Sequence[Word]) -> Word | None:
    """What tmux types or runs: `send-keys -t NAME 'text' C-m`, `new-session -d -s NAME 'text'`."""
    verb = _behind(words, _TMUX_TAKE)
    if verb is None:
        return None
    rest, name = words[verb + 1 :], words[verb].text
    first = _behind(rest, _TMUX_TAKE)
    if first is None:
        return None
    keys = [word for word in rest[first:] if word.text not in ("C-m", "Enter", "KPEnter", "C-c", "C-j", ";", "--")]
    if not keys:
        return None
    if name in ("send-keys", "send"):
        return Word("".join(word.text if word.text != "Space" else " " for word in keys), keys[0].gaps)
    return keys[0] if len(keys) == 1 else Word(" ".join(_quoted(word.text) for word in keys), keys[0].gaps)


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w@%+=:,./-]+", text) else "'" + text.replace("'", "'\\''") + "'"


def _before(words: Sequence[Word], env: dict[str, Word], notes: tuple[str, ...]) -> Start:
    """A start without its words: the variables that the words before it set, and what they do beside."""
    said, release = list(notes), ""
    mounts: list[Mount] = []
    for index, word in enumerate(words):
        name = _base(word.text)
        if name in _SHAPES:
            until = next((i for i in range(index + 1, len(words)) if _ends_wrapper(words[i].text)), len(words))
            text = " ".join(one.text for one in words[index:until])
            said.append(f"`{text}` is left out: {_SHAPES[name]} in a drop-in of the unit does that")
        match = _ASSIGNMENT.fullmatch(word.text)
        alone = (*_ALONE, "-e", "--env") if _in_container(words[:index]) else _ALONE
        of_option = index > 0 and words[index - 1].text.startswith("-") and words[index - 1].text not in alone
        if name == "systemd-run":
            said += [
                f"`{setting}` of systemd-run is left out: a drop-in of the unit says it"
                for setting in _properties(words[index:])
            ]
        if match is not None and not of_option and not release_named(word.text):
            env[match[1]] = Word(match[2], word.gaps)
        elif word.text in ("-i", "-", "--ignore-environment") and any(
            _base(one.text) == "env" for one in words[:index]
        ):
            env.clear()
        elif word.text in ("-u", "--unset") and index and _base(words[0].text) == "env" and index + 1 < len(words):
            env.pop(words[index + 1].text, None)
        release = release_named(word.text) or release
        if name in ("singularity", "apptainer"):
            mounts += _binds(words[index + 1 :])
    return Start((), env, release, notes=tuple(said), mounts=tuple(mounts), container=bool(mounts))


def _in_container(words: Sequence[Word]) -> bool:
    """Whether words lead into a container that runs already: `docker exec`."""
    names = [_base(word.text) for word in words]
    return "exec" in names and any(name in ("docker", "podman", "nerdctl") for name in names[: names.index("exec")])


def _properties(words: Sequence[Word]) -> list[str]:
    """What `-p` and `--property` of systemd-run set."""
    found: list[str] = []
    for word, following in zip(words[1:], [*words[2:], Word("")]):
        name, sign, value = word.text.partition("=")
        if name in ("-p", "--property"):
            found.append(value if sign else following.text)
        elif word.text[:2] == "-p" and sign:
            found.append(word.text[2:])
    return found


def _binds(words: Sequence[Word]) -> list[Mount]:
    """`-B source[:target[:options]],…` of singularity and apptainer."""
    found: list[Mount] = []
    for index, word in enumerate(words):
        name, sign, value = word.text.partition("=")
        if name in ("-B", "--bind"):
            text = value if sign else words[index + 1].text if index + 1 < len(words) else ""
            for part in text.split(","):
                source, __, rest = part.partition(":")
                found.append(Mount(source, rest.partition(":")[0] or source))
    return found


def _prefixes(words: Sequence[Word]) -> list[str]:
    """What may stand before the command, and nobody knows."""
    gaps = dict.fromkeys(gap for word in words if word.loose for gap in word.gaps)
    return [f"{gap.written} stands before the command{gap.why and f': {gap.why}'}" for gap in gaps if not gap.taken]


def _ends_wrapper(text: str) -> bool:
    return _base(text) in (*_SHAPES, "vllm", "python", "python3", "uv", "env", "sudo", "nohup") or "/" in text
