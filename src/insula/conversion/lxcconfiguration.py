"""LXC's configuration as a whole: from a document to a draft of a domain, and from a domain to a document."""

import re
from collections.abc import Iterable, Mapping

from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry
from insula.conversion.losses import Reason
from insula.conversion.lxckeys import LXC_KEYS
from insula.conversion.lxcnetworks import take_network
from insula.conversion.lxcsyntax import is_of_network, lxc_entries, lxc_networks, present_key
from insula.model.domain import DomainDefinition
from insula.model.visible import visible

_LINE_END = re.compile(r"[\n\r]")
_UNDER_V2 = "lxc.cgroup2."
LXC_REASONS: Mapping[str, Reason] = {
    "name": Reason("a container is called by its directory, and lxc.uts.name is its host name"),
    "idmap": Reason("the domain has ids of its own, which its definition does not say", "write a range that is free"),
    "os/init": Reason("words with spaces in them cannot be told", "write a program that runs them"),
    "os/initarg": Reason("words with spaces in them cannot be told", "write a program that runs them"),
    "vcpu": Reason("it has no number of processors", "write lxc.cgroup2.cpuset.cpus"),
    "devices/filesystem": Reason("it has no such mount, or not this option", "mount it on the host, and bind it"),
    "devices/interface": Reason("it has no such network, or no such part of one", "choose a bridge or a macvlan"),
    "devices/disk": Reason("numbers of disks are not known before a start", "bind the node, and allow its numbers"),
    "metadata/insula:domain/insula:privileged": Reason("a container without lxc.idmap is privileged"),
    "metadata/insula:domain/insula:timens": Reason("clocks are shifted by whole seconds"),
}
"""By the place in a domain's XML, beside what is true of most formats."""


def read_lxc(document: ForeignDocument, draft: DomainDraft) -> None:
    """Take what a document says into draft. Raises: InvalidArgumentError with the line where it is no configuration."""
    entries = tuple(_with_fstabs(document, lxc_entries(document)))
    for label, settings in lxc_networks(entries):
        take_network(draft, label, settings)
    plain = [each for each in entries if not is_of_network(each)]
    # Of the unified hierarchy last: there it is what counts, and the other is for hosts of old.
    for entry in sorted(plain, key=lambda each: (each.key.startswith(_UNDER_V2), each.key.endswith("rootfs.options"))):
        LXC_KEYS.read(draft, entry, present_key(entry.key))
    _complete(draft, document, entries)


def _with_fstabs(document: ForeignDocument, entries: Iterable[ForeignEntry]) -> Iterable[ForeignEntry]:
    """Yield entries with the lines of fstab files at hand instead of those that name the files."""
    for entry in entries:
        text = document.others.get(entry.value) if present_key(entry.key) == "lxc.mount.fstab" else None
        if text is None:
            yield entry
            continue
        for number, line in enumerate(text.split("\n"), start=1):
            if line.strip() and not line.strip().startswith("#"):
                yield ForeignEntry(key="lxc.mount.entry", value=line.strip(), line=number, file=entry.value)


def _complete(draft: DomainDraft, document: ForeignDocument, entries: tuple[ForeignEntry, ...]) -> None:
    """Take what follows from what no line says: swap without a limit, a privileged container."""
    whole = ForeignEntry(key="lxc.rootfs.path")
    if draft.root is None and not any(present_key(each.key) == whole.key for each in entries):
        draft.lost(whole, "no root is named, and a guest never has the host's", "name a directory: lxc.rootfs.path")
    draft.has_hosts_ids = not draft.uids
    if draft.has_hosts_ids:
        draft.changed(
            ForeignEntry(key="lxc.idmap"),
            "there is none, so the container was privileged; the domain has ids of its own",
            "<insula:privileged/> makes it privileged, too; security.md tells what that gives away",
        )
    if draft.name is None and document.path is not None and document.path.name == "config":
        draft.name = document.path.parent.name
    if draft.memory is not None and draft.swap is None and draft.swap_total is None:
        draft.swap = NO_LIMIT


def write_lxc(domain: DomainDefinition, findings: Iterable[ConversionFinding]) -> str:
    """Return a domain as LXC's configuration, what it could not say as comments before it."""
    lines = [f"# {visible(domain.name)}, as a domain of Insula has it"]
    lines += (f"# {finding}" for finding in findings)
    # A value with a line end would be a setting of its own.
    lines += (f"{key} = {value}" for key, value in LXC_KEYS.written(domain) if not _LINE_END.search(f"{key}{value}"))
    return "\n".join([*lines, ""])
