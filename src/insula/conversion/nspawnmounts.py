"""The [Files] section of systemd's .nspawn files, and file systems of a domain. Source: systemd-nspawn(1)."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import PurePosixPath

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.conversion.fstabs import MountLine, take_mount
from insula.conversion.nspawnsyntax import part, parts_of, truth
from insula.model.domain import DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemSource, FilesystemType
from insula.model.scalars import OnOff

MACHINES = PurePosixPath("/var/lib/machines")
"""Where systemd keeps the trees of containers, by their names."""
_MAPPED = frozenset({"idmap", "rootidmap", "owneridmap"})


def read_read_only(draft: DomainDraft, entry: ForeignEntry) -> None:
    """The root is there when the first setting is read."""
    if draft.root is not None:
        draft.root = replace(draft.root, read_only=truth(entry.value) is True)


def read_bind(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read `SOURCE:TARGET:OPTIONS`; a + before a source means the guest's own tree, a - that it may be missing."""
    source, *rest = parts_of(entry.value)
    optional, source = source.startswith("-"), source.removeprefix("-")
    inside, source = source.startswith("+"), source.removeprefix("+")
    target = draft.path(entry, rest[0] if rest and rest[0] else source)
    path = draft.path(entry, source)
    if path is None or target is None:
        return
    if target == ROOT:
        draft.lost(entry, "it is shown at /, where the root is")
        return
    options = set(",".join(rest[1:]).split(",")) - {""}
    read_only = entry.key.endswith("ReadOnly")
    if inside:
        kind, mapping = FilesystemType.BIND, None
        made = Filesystem(type=kind, source=FilesystemSource(directory=path), target=target, read_only=read_only)
        draft.filesystems.append(made)
    elif path.is_relative_to("/dev") or path.is_relative_to("/sys") or path.is_relative_to("/proc"):
        words = ("bind", *(("ro",) if read_only else ()), *(("optional",) if optional else ()))
        take_mount(draft, entry, MountLine(source=str(path), target=target, kind="none", options=words))
        return
    else:
        # Without a word of it the source's owners are the host's, which the guest sees as nobody.
        mapping = None if options & _MAPPED else OnOff.OFF
        source_of = FilesystemSource(directory=path)
        draft.filesystems.append(Filesystem(source=source_of, target=target, read_only=read_only, idmap=mapping))
    if optional:
        draft.changed(entry, f"{target}: what is to be shown must be there at each start", "else take it out")
    odd = options - _MAPPED - {"rbind", "noidmap"}
    if odd:
        draft.changed(entry, f"{target}: without the options {quoted(', '.join(sorted(odd)))}")


def bind_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    """Yield whether the root is read-only, and each mount and node."""
    if domain.root is not None and domain.root.read_only:
        yield "Files.ReadOnly", "yes"
    for each in domain.devices.filesystems:
        directory = each.source.directory
        if each.is_root or directory is None or each.type not in (FilesystemType.MOUNT, FilesystemType.BIND):
            continue
        words = [f"{'+' if each.type is FilesystemType.BIND else ''}{part(directory)}", part(each.target)]
        if each.type is FilesystemType.MOUNT and each.is_mapped and not domain.settings.privileged:
            words.append("idmap")
        yield "Files.BindReadOnly" if each.read_only else "Files.Bind", ":".join(words)
    for device in domain.devices.host_devices:
        node = device.source.character or device.source.block
        if node is not None:
            yield "Files.Bind", part(node)


def read_temporary(draft: DomainDraft, entry: ForeignEntry) -> None:
    """Read `PATH:OPTIONS`, as of tmpfs(5)."""
    place, *options = parts_of(entry.value)
    target = draft.path(entry, place)
    if target is None or target == ROOT:
        if target is not None:
            draft.lost(entry, "it is mounted at /, where the root is")
        return
    words = tuple(each for each in ",".join(options).split(",") if each)
    take_mount(draft, entry, MountLine(source="tmpfs", target=target, kind="tmpfs", options=words))


def temporary_keys(domain: DomainDefinition) -> Iterator[tuple[str, str]]:
    for each in domain.devices.filesystems:
        if each.type is FilesystemType.RAM and each.source.usage is not None:
            words = [f"size={each.source.usage}k", *(["ro"] if each.read_only else [])]
            yield "Files.TemporaryFileSystem", f"{part(each.target)}:{','.join(words)}"
