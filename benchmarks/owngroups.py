"""Insula on a host that systemd runs, as if it did not: the other half of the pair that tells what scopes cost.

The same daemon program in the same boot, which does not find systemd, and makes its control groups itself.
"""

from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ours import InsulaCalls
from benchmarks.peers import domain_xml
from insula.engine.launch.systemdscope import Manager, detect_manager
from insula.rpc.procedures import Remote

_PARTITION = "/benchmark"
"""Beside the slices that are systemd's."""
_HIDDEN = 'mount -t tmpfs tmpfs /run/systemd && exec "$0" "$@"'
"""Where systemd leaves the mark by which it is known to run the host: sd_booted(3)."""


@dataclass
class InsulaOwnGroups(InsulaCalls):
    """Calls on an open connection, to a daemon in whose mounts there is no systemd."""

    name: str = "insula (own groups)"
    settings: Path = field(default_factory=Path)

    def missing(self) -> str | None:
        return "systemd does not run this host" if detect_manager() is Manager.NONE else None

    def prepare(self, root: Path, work: Path) -> None:
        (work / "own").mkdir()
        self.settings = work / "own/insulad.toml"
        self.settings.write_text(f'partitions = ["{_PARTITION}"]\n')
        super().prepare(root, work / "own")

    def words(self) -> list[str]:
        return ["unshare", "-m", "sh", "-c", _HIDDEN, *super().words(), "--config", str(self.settings)]

    def make(self, name: str) -> None:
        resource = f"<resource><partition>{_PARTITION}</partition></resource>"
        xml = domain_xml(name, self.root).replace("<vcpu>", f"{resource}<vcpu>")
        self.call(Remote.DOMAIN_DEFINE_XML, xml)
