"""The commands of the role, carried out on a simulated host as apt-get, dpkg, dnf, dkms and their like would."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia import versions
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import Offer, ServiceState
from ansible_collections.baremetal.vllm.plugins.plugin_utils.drivers.nvidia import repository, rules
from simulated_host import STRICT, Failed, Host, part

_WITH_VALUE = ("-o", "-k", "-m", "-v", "--kver")


def execute(host: Host, argv: Sequence[str]) -> None:
    """Raises Failed where the command would fail; AssertionError for one that is not known here."""
    host.commands.append(" ".join(argv))
    tool, words = argv[0], list(argv[1:])
    values = {word: words[at + 1] for at, word in enumerate(words) if word in _WITH_VALUE}
    taken = {at + 1 for at, word in enumerate(words) if word in _WITH_VALUE}
    flags = {word for word in words if word.startswith("-")}
    plain = [word for at, word in enumerate(words) if not word.startswith("-") and at not in taken]
    if tool == "apt-get":
        _apt(host, flags, plain)
    elif tool == "apt-mark":
        assert plain[0] == "hold"
        _installed(host, plain[1:])
        host.held |= set(plain[1:])
    elif tool == "dpkg":
        assert {"--configure", "-a"} <= flags
        for name in sorted(host.broken):
            _mended(host, name)
    elif tool == "dnf":
        _dnf(host, flags, plain)
    elif tool == "dkms":
        assert plain == ["install"]
        assert "--force" in flags
        host._build(values["-m"], values["-v"], values["-k"])
    elif tool in ("update-initramfs", "dracut"):
        host.kernels[values.get("-k") or values["--kver"]].early = not host.blocks_nouveau
    elif tool == "systemctl":
        _systemctl(host, plain[0], plain[1:])
    elif tool == "rmmod":
        host._remove(plain[0])
    elif tool == "modprobe" and plain == ["nvidia"]:
        host._insert()
    elif tool == "modprobe" and plain == ["nvidia-uvm"]:
        host._insert()
        host.sisters.add("nvidia_uvm")
    elif tool == "modprobe" and plain == ["ib_umad"]:
        host.umad = True
    else:
        assert tool == rules.NODES, argv
        host.make_nodes()


def _installed(host: Host, names: Sequence[str]) -> None:
    missing = [name for name in names if name not in host.packages]
    if missing:
        raise Failed(f"E: Unable to locate package {missing[0]}")


def _systemctl(host: Host, verb: str, units: Sequence[str]) -> None:
    failed = ""
    for unit in units:
        try:
            if verb == "enable":
                host.units[unit] = ServiceState(host.units[unit].state, True)
            elif verb == "disable":
                host._stop(unit)
                host.units[unit] = ServiceState(host.units[unit].state, False)
            elif verb == "reset-failed":
                pass
            elif verb == "stop":
                host._stop(unit)
            else:
                assert verb in ("start", "restart"), verb
                if verb == "restart":
                    host._stop(unit)
                host._start(unit)
        except Failed as error:
            failed = str(error)
    if failed:
        raise Failed(failed)


def _mended(host: Host, name: str) -> None:
    if part(name) in ("open", "proprietary"):
        host._configure(name)
    host.broken.discard(name)


def _apt(host: Host, flags: set[str], plain: list[str]) -> None:
    verb, words = plain[0], plain[1:]
    if verb == "update":
        if host.unreachable:
            raise Failed("E: Failed to fetch")
        return
    if verb == "purge":
        _installed(host, words)
        if host.held & set(words) and "--allow-change-held-packages" not in flags:
            raise Failed("E: Held packages were changed and -y was used without --allow-change-held-packages.")
        for name in words:
            host.take(name)
        return
    assert verb == "install", verb
    gone = [word[:-1] for word in words if word.endswith("-")]
    chosen = dict([*word.split("=", 1), ""][:2] for word in words if not word.endswith("-"))
    for name, full in chosen.items():
        chosen[name] = full or host.packages.get(name, "") or _candidate(host, name)
        _available(host, name, chosen[name], "--reinstall" in flags)
    for name in [*chosen, *(n for n in host.packages if n not in chosen)]:
        needed = STRICT.get(name, "")
        if not needed or (name not in chosen and needed not in chosen):
            continue
        full = chosen.get(name) or host.packages[name]
        there = chosen.get(needed) or (host.packages.get(needed) if host.packages.get(needed) == full else "")
        if (there or _candidate(host, needed)) != full:
            raise Failed(f"E: Unable to correct problems: {name} : Depends: {needed} (= {full})")
        _available(host, needed, full)
        chosen[needed] = full
    moved = {name for name in [*chosen, *gone] if host.packages.get(name) not in (None, chosen.get(name))}
    if moved & host.held and "--allow-change-held-packages" not in flags:
        raise Failed("E: Held packages were changed and -y was used without --allow-change-held-packages.")
    older = [n for n in chosen if n in host.packages and versions.compare_debian(chosen[n], host.packages[n]) < 0]
    if older and "--allow-downgrades" not in flags:
        raise Failed("E: Packages were downgraded and -y was used without --allow-downgrades.")
    if {"--download-only", "--simulate"} & flags:
        return
    for name in gone:
        if name in host.packages:
            host.take(name)
    failed = ""
    for name, full in chosen.items():
        try:
            host.put(name, full)
            if "--reinstall" in flags and part(name) in ("open", "proprietary"):
                host._configure(name)
        except Failed as error:
            failed = str(error)
    for name in sorted(host.broken - set(chosen)):
        _mended(host, name)
    if failed:
        raise Failed(failed)


def _offered(host: Host, name: str) -> list[Offer]:
    return [] if host.unreachable else [offer for offer in host.offers if offer.name == name]


def _candidate(host: Host, name: str) -> str:
    """What apt takes of itself: the pinned version, else the newest."""
    known = [offer.version for offer in _offered(host, name)]
    pin = re.search(r"Pin: version (\S+)\*", host.texts.get(repository.PREFERENCES, ""))
    pinned = [full for full in known if pin and full.startswith(pin[1])]
    return versions.newest("debian", pinned or known) if known else host.packages.get(name, "")


def _available(host: Host, name: str, full: str, again: bool = False) -> None:
    if host.packages.get(name) == full and not again:
        return
    if full not in [offer.version for offer in _offered(host, name)]:
        raise Failed(f"E: Version '{full}' for '{name}' was not found")


def _dnf(host: Host, flags: set[str], plain: list[str]) -> None:
    if plain[0] == "makecache":
        if host.unreachable:
            raise Failed("Error: Failed to download metadata for repo 'nvidia-driver'")
        return
    if plain[:2] == ["module", "reset"]:
        host.stream = ""
    elif plain[:2] == ["module", "enable"]:
        if not any(offer.name == plain[2] for offer in host.offers):
            raise Failed(f"Error: Unable to resolve argument {plain[2]}")
        host.stream = plain[2]
    elif plain[:2] == ["versionlock", "delete"]:
        if not host.held & set(plain[2:]):
            raise Failed("Error: No matching entries")
        host.held -= set(plain[2:])
    elif plain[:2] == ["versionlock", "add"]:
        _installed(host, plain[2:])
        host.held |= set(plain[2:])
    elif plain[0] == "remove":
        for name in plain[1:]:
            if name in host.packages:
                host.take(name)
    elif plain[0] == "reinstall":
        _installed(host, plain[1:])
        for name in [name for name in plain[1:] if part(name) in ("open", "proprietary")]:
            host._configure(name)
    elif plain == ["install", "dnf-command(versionlock)"]:
        return
    else:
        assert plain[0] == "install", plain
        found = [_word(host, word, flags) for word in plain[1:]]
        if "--downloadonly" in flags:
            return
        for name, full in found:
            host.put(name, full)


def _word(host: Host, word: str, flags: set[str]) -> tuple[str, str]:
    """Name and version of name, or name-version, that dnf can have: past streams and locks."""
    for name, full in host.packages.items():
        if word in (name, f"{name}-{full}"):
            return name, full
    filtered = f"--setopt={repository.REPO_ID}.module_hotfixes=1" not in flags
    locked = "--disableplugin=versionlock" not in flags
    for offer in [] if host.unreachable else host.offers:
        kernel = f"kernel-devel-{offer.version}" if offer.name == "kernel-devel" else ""
        named = {f"{offer.name}-{offer.version}", offer.name}
        if word not in named and not (kernel and word == f"{kernel}.x86_64"):
            continue
        if locked and offer.name in host.held:
            continue
        if filtered and offer.origin == repository.REPO_ID and not _in_stream(host, offer):
            continue
        return offer.name, offer.version
    raise Failed(f"Error: Unable to find a match: {word}")


def _in_stream(host: Host, offer: Offer) -> bool:
    if not any(each.name.startswith("nvidia-driver:") for each in host.offers):
        return True
    if not versions.driver(offer.version):
        # No module has it.
        return True
    stream = host.stream.partition(":")[2]
    branch, __, kind = stream.partition("-")
    if versions.branch(versions.driver(offer.version)) != branch:
        return False
    what = part(offer.name)
    kinds = {"open": "open", "proprietary": "dkms", "prebuilt": ""}
    return what not in kinds or kinds[what] == kind
