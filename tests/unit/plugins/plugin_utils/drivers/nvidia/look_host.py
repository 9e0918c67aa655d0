"""A host as a directory tree with answers to commands, for tests that look at it."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.look import look
from ansible_collections.baremetal.vllm.plugins.module_utils.drivers.nvidia.model import DriverState

MISSING = (127, "", "not installed")


class LookedAt:
    """`put` files, `link` and answer `commands` (by the words they begin with); every command run is in `ran`."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands: dict[str, tuple[int, str, str]] = {}
        self.ran: list[str] = []

    def put(self, path: str, content: str | bytes = "", mode: int = 0o644) -> Path:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
        file.chmod(mode)
        return file

    def link(self, path: str, target: str) -> None:
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.symlink_to(target)

    def gpu(
        self, address: str = "0000:1b:00.0", device: str = "2330", vendor: str = "10de", kind: str = "030200"
    ) -> None:
        for name, value in (("vendor", vendor), ("device", device), ("class", kind)):
            self.put(f"sys/bus/pci/devices/{address}/{name}", f"0x{value}\n")

    def kernel(self, release: str, modules: dict[str, str] | None = None, headers: bool = True) -> None:
        """An installed kernel; `modules` maps paths below its directory to what modinfo says of them."""
        self.put(f"boot/vmlinuz-{release}")
        self.put(f"lib/modules/{release}/kernel/fs/ext4.ko")
        listed = ["kernel/fs/ext4.ko:", *(f"{path}:" for path in modules or {})]
        self.put(f"lib/modules/{release}/modules.dep", "\n".join(listed) + "\n")
        for path, said in (modules or {}).items():
            self.answer(f"modinfo {self.root}/lib/modules/{release}/{path}", said)
        if headers:
            self.put(f"usr/src/linux-headers-{release}/Makefile")
            self.link(f"lib/modules/{release}/build", f"/usr/src/linux-headers-{release}")

    def answer(self, command: str, out: str = "", code: int = 0, err: str = "") -> None:
        self.commands[command] = (code, out, err)

    def run(self, argv: list[str]) -> tuple[int, str, str]:
        line = " ".join(argv)
        self.ran.append(line)
        known = [words for words in self.commands if line == words or line.startswith(f"{words} ")]
        return self.commands[max(known, key=len)] if known else MISSING

    def look(self, **options: object) -> DriverState:
        return look(root=self.root, run=self.run, machine="x86_64", **options)  # type: ignore[arg-type]


def modinfo(version: str, licence: str = "NVIDIA", signer: str = "") -> str:
    """What modinfo(8) says of a module, cut to the lines that matter and some that must not."""
    signed = (
        f"sig_id:         PKCS#7\nsigner:         {signer}\nsignature:      7D:B6:4D\n\t\t78:BB:D2\n" if signer else ""
    )
    return (
        f"filename:       /lib/modules/x/nvidia.ko\nalias:          char-major-195-*\nversion:        {version}\n"
        f"supported:      external\nlicense:        {licence}\n{signed}parm:           NVreg_EnableMSI:int\n"
    )
