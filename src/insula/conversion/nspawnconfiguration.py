"""systemd's .nspawn files as a whole. A file is called by its container, whose tree is below /var/lib/machines."""

from collections.abc import Iterable, Mapping

from insula.conversion.domaindraft import UNNAMED, DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry
from insula.conversion.losses import Reason
from insula.conversion.nspawnkeys import NSPAWN_KEYS, settle_capabilities, without_init
from insula.conversion.nspawnmounts import MACHINES
from insula.conversion.nspawnnetworks import take_nspawn_networks
from insula.conversion.nspawnsyntax import truth, unit_entries, unit_text
from insula.model.domain import DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemSource
from insula.model.visible import visible

SUFFIX = ".nspawn"
_NETWORK = "Network."
_UNIT = "limits are of its unit"
NSPAWN_REASONS: Mapping[str, Reason] = {
    "name": Reason("a container is called by its file"),
    "uuid": Reason("the machine id is the UUID"),
    "memory": Reason(_UNIT, "systemctl set-property systemd-nspawn@NAME.service MemoryMax=…"),
    "currentMemory": Reason(_UNIT, "systemctl set-property systemd-nspawn@NAME.service MemoryMax=…"),
    "memtune": Reason(_UNIT, "systemctl set-property systemd-nspawn@NAME.service MemoryHigh=…"),
    "cputune": Reason(_UNIT, "systemctl set-property systemd-nspawn@NAME.service CPUQuota=… CPUWeight=…"),
    "blkiotune": Reason(_UNIT, "systemctl set-property systemd-nspawn@NAME.service IOWeight=…"),
    "resource": Reason(_UNIT, "systemctl set-property, or Slice= of the unit"),
    "metadata/insula:domain/insula:pids": Reason(_UNIT, "systemctl set-property … TasksMax=…"),
    "metadata/insula:domain/insula:privileged": Reason("a container without PrivateUsers= is privileged"),
    "devices/filesystem[/]": Reason(f"its tree is {MACHINES}/NAME", "move or link it there, or use --directory="),
    "devices/filesystem/source/@dir": Reason(
        f"its tree is {MACHINES}/NAME", "move or link it there, or use --directory="
    ),
    "devices/interface/mac": Reason("it chooses MAC addresses by itself"),
    "devices/interface/ip": Reason("addresses are set inside"),
    "devices/interface/route": Reason("routes are set inside"),
}
"""By the place in a domain's XML, beside what is true of most formats."""


def read_nspawn(document: ForeignDocument, draft: DomainDraft) -> None:
    """Take what a document says into draft, with what systemd-nspawn@.service adds.

    Raises: InvalidArgumentError with the line where it is no settings file.
    """
    entries = unit_entries(document)
    if draft.name is None and document.path is not None and document.path.name.endswith(SUFFIX):
        draft.name = document.path.name.removesuffix(SUFFIX)
    hostnames = [each.value for each in entries if each.key == "Exec.Hostname"]
    name = draft.name or (hostnames[-1] if hostnames else UNNAMED)
    if "/" not in name and name not in (".", ".."):
        draft.root = Filesystem(source=FilesystemSource(directory=MACHINES / name), target=ROOT)
        draft.changed(ForeignEntry(key="(the file's name)"), f"the tree is taken to be {MACHINES / visible(name)}")
    boots = [truth(each.value) for each in entries if each.key == "Exec.Boot"]
    networks: dict[str, list[ForeignEntry]] = {}
    for entry in entries:
        known = NSPAWN_KEYS.find(entry.key)
        if entry.key.startswith(_NETWORK) and known is not None:
            networks.setdefault(entry.key.removeprefix(_NETWORK), []).append(entry)
        elif entry.key == "Exec.Parameters" and (not boots or boots[-1]):
            NSPAWN_KEYS.read(draft, without_init(entry))
        else:
            NSPAWN_KEYS.read(draft, entry)
    settle_capabilities(draft)
    take_nspawn_networks(draft, networks)


def write_nspawn(domain: DomainDefinition, findings: Iterable[ConversionFinding]) -> str:
    """Return a domain as a .nspawn file, what it could not say as comments before it."""
    head = [f"# {visible(domain.name)}{SUFFIX}, as a domain of Insula has it", *(f"# {each}" for each in findings)]
    return "\n".join([*head, "", unit_text(NSPAWN_KEYS.written(domain))])
