"""The root that machines of one suite share: what mmdebstrap is told, and the digest under which the result is kept."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# Changes when what is done to a root changes in a way that the other inputs of the digest do not show.
RECIPE = 1
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# About what a cloud image has, less kernel and boot loader.
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "kmod",
    "libpam-systemd",
    "netbase",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)
# apt settings of this computer that its network may demand of every computer in it.
CARRIED_SETTINGS = re.compile(r"Acquire::(https?::Proxy|Check-Valid-Until|Check-Date|Retries)$")
SUFFIXES = (".list", ".sources")
POOL = "/var/cache/lab-debs"
POOL_SCRIPT = "/usr/local/lib/lab-debs"


@dataclass(frozen=True)
class Root:
    """Everything that goes into one base root. `sources` is deb822 text, '' for mmdebstrap's own default."""

    suite: str
    packages: tuple[str, ...]
    sources: str
    settings: tuple[tuple[str, str], ...]
    certificates: tuple[tuple[str, str], ...]

    @property
    def digest(self) -> str:
        content = [
            RECIPE,
            PACKAGES,
            FINISH,
            sorted(self.files().items()),
            self.suite,
            self.packages,
            self.sources,
            self.settings,
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def directory(self) -> str:
        return f"{self.suite}-{self.digest}"

    def files(self) -> dict[str, str]:
        """Files laid into the finished root: path in the machine -> text."""
        return {
            "/etc/apt/apt.conf.d/90lab": APT_SETTINGS,
            # A machine of the lab is thrown away: speed counts more than surviving a power cut in mid-installation.
            "/etc/dpkg/dpkg.cfg.d/lab": "force-unsafe-io\n",
            POOL_SCRIPT: POOL_SCRIPT_TEXT,
            # What nspawn would give is a tenth of the memory; a computer of its own has half.
            "/etc/default/locale": "LANG=C.UTF-8\n",
            "/etc/fstab": "tmpfs /dev/shm tmpfs rw,nosuid,nodev,size=50% 0 0\n",
            **{f"/usr/local/share/ca-certificates/{name}": text for name, text in self.certificates},
        }


APT_SETTINGS = f"""\
Acquire::Languages "none";
Acquire::IndexTargets::deb::DEP-11 {{ DefaultEnabled "false"; }};
APT::Install::Pre-Invoke {{ "{POOL_SCRIPT} offer || true"; }};
DPkg::Pre-Install-Pkgs {{ "{POOL_SCRIPT} keep || true"; }};
"""

# The pool is shared by all machines of a suite; apt's own archives directory, with its lock, is each machine's own.
POOL_SCRIPT_TEXT = f"""\
#!/bin/sh
# Packages that any machine of the lab has downloaded are there for all of them.
pool={POOL}
[ -d "$pool" ] || exit 0
case $1 in
  offer) find "$pool" -name '*.deb' -exec ln -sf -t /var/cache/apt/archives {{}} + ;;
  keep)
    while read -r deb; do
      kept=$pool/${{deb##*/}}
      [ -e "$kept" ] || {{ cp "$deb" "$kept.$$.$(hostname)" && mv "$kept.$$.$(hostname)" "$kept"; }}
    done ;;
esac
"""

# Run on the finished root ($1) with the files for it ($2). Machine id, host keys and the like are each machine's own.
FINISH = f"""\
set -e
cp -a --remove-destination "$2"/. "$1"/
chmod 0755 "$1"{POOL_SCRIPT}
chroot "$1" update-ca-certificates >/dev/null
chroot "$1" systemctl --quiet enable systemd-networkd.service ssh.service
chroot "$1" systemctl --quiet mask apt-daily.timer apt-daily-upgrade.timer
rm -f "$1"/etc/ssh/ssh_host_*_key* "$1"/var/lib/dbus/machine-id
: > "$1"/etc/machine-id
mkdir -p "$1"/var/log/journal "$1"/root/.ssh
chmod 0700 "$1"/root/.ssh
"""


def mmdebstrap_command(root: Root, workshop: Path, target: Path) -> list[str]:
    """The command that makes the root.

    :param workshop: directory that `prepare` has filled
    :param target: directory to be made
    """
    return [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(sorted({*PACKAGES, *root.packages}))}",
        # Package lists stay, as fresh as the root is: the first installation need not fetch them again.
        "--skip=cleanup/apt/lists",
        '--aptopt=Acquire::Languages "none"',
        *(f'--aptopt={key} "{value}"' for key, value in root.settings),
        f'--customize-hook=sh {workshop}/finish "$1" {workshop}/files',
        root.suite,
        str(target),
        *([str(workshop / "lab.sources")] if root.sources else []),
    ]


def prepare(root: Root, workshop: Path) -> None:
    """Write what `mmdebstrap_command` refers to into an empty directory."""
    (workshop / "finish").write_text(FINISH, encoding="utf-8")
    (workshop / "lab.sources").write_text(root.sources, encoding="utf-8")
    for path, text in root.files().items():
        file = workshop / "files" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")


def sources_of(suite: str, own_codename: str, texts: Sequence[tuple[str, str]]) -> str:
    """deb822 sources for a suite from this computer's own, so that its mirror is used; '' when it shows none.

    :param own_codename: this computer's release, whose entries are turned into the suite's ('' when it is no Debian)
    :param texts: (file name, text) of its sources.list and sources.list.d files
    """
    if not own_codename:
        return ""
    entries = []
    for name, text in texts:
        entries += deb822_entries(text) if name.endswith(".sources") else one_line_entries(text)
    own = {own_codename, f"{own_codename}-updates", f"{own_codename}-security"}
    lines: list[str] = []
    for uri, suites, components in entries:
        kept = [part for part in suites if part in own]
        if not kept or "main" not in components:
            continue
        renamed = " ".join(suite + part[len(own_codename) :] for part in kept)
        stanza = f"Types: deb\nURIs: {uri}\nSuites: {renamed}\nComponents: main\nSigned-By: {KEYRING}\n"
        if stanza not in lines:
            lines.append(stanza)
    return "\n".join(lines)


def deb822_entries(text: str) -> list[tuple[str, list[str], list[str]]]:
    """(URI, suites, components) of every enabled binary stanza (sources.list(5))."""
    found = []
    for stanza in re.split(r"\n\s*\n", text):
        fields: dict[str, str] = {}
        key = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[key] = f"{fields.get(key, '')} {line.strip()}"
            elif ":" in line:
                key, __, value = line.partition(":")
                key = key.lower()
                fields[key] = value.strip()
        if "deb" in fields.get("types", "").split() and fields.get("enabled", "yes").lower() not in ("no", "false"):
            suites, components = fields.get("suites", "").split(), fields.get("components", "").split()
            found += [(uri, suites, components) for uri in fields.get("uris", "").split()]
    return found


def one_line_entries(text: str) -> list[tuple[str, list[str], list[str]]]:
    """(URI, [suite], components) of every `deb` line."""
    found = []
    for line in text.splitlines():
        words = re.sub(r"\[[^]]*\]", " ", line.partition("#")[0]).split()
        if len(words) >= 3 and words[0] == "deb":
            found.append((words[1], [words[2]], words[3:]))
    return found


def settings_of(dump: str) -> tuple[tuple[str, str], ...]:
    """The settings worth carrying into a machine, from `apt-config dump`."""
    found = re.findall(r'^(\S+) "([^"]*)";$', dump, flags=re.MULTILINE)
    return tuple((key, value) for key, value in found if value and CARRIED_SETTINGS.match(key))


@dataclass(frozen=True)
class Surroundings:
    """What a machine takes over from the computer that boots it, so that it gets through the same network."""

    codename: str
    sources: tuple[tuple[str, str], ...]
    settings: tuple[tuple[str, str], ...]
    certificates: tuple[tuple[str, str], ...]

    def root(self, suite: str, packages: Sequence[str]) -> Root:
        sources = sources_of(suite, self.codename, self.sources)
        return Root(suite, tuple(packages), sources, self.settings, self.certificates)


def surroundings() -> Surroundings:
    """Read them from this computer."""
    release = Path("/etc/os-release").read_text(encoding="utf-8")
    debian = re.search(r"^ID=\"?debian\"?$", release, flags=re.MULTILINE)
    codename = re.search(r"^VERSION_CODENAME=\"?(\w+)\"?$", release, flags=re.MULTILINE)
    lists = [path for path in sorted(Path("/etc/apt").glob("sources.list*/*")) if path.suffix in SUFFIXES]
    lists += [path for path in [Path("/etc/apt/sources.list")] if path.exists()]
    authorities = sorted(Path("/usr/local/share/ca-certificates").glob("*.crt"))
    dump = subprocess.run(("apt-config", "dump"), capture_output=True, text=True, check=False).stdout
    return Surroundings(
        codename=codename[1] if debian and codename else "",
        sources=tuple((path.name, path.read_text(encoding="utf-8")) for path in lists),
        settings=settings_of(dump),
        certificates=tuple((path.name, path.read_text(encoding="utf-8")) for path in authorities),
    )
