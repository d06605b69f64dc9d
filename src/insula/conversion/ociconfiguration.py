"""An OCI runtime bundle's config.json as a whole. Its root is beside it; findings are annotations, its only notes."""

import json
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any

from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry, bounded, quoted
from insula.conversion.jsontree import objects_at, parsed, put_together, text_at, tree_entries
from insula.conversion.losses import Reason
from insula.conversion.ocikeys import FOUND, OCI_KEYS
from insula.model.domain import DomainDefinition
from insula.model.filesystems import ROOT, Filesystem, FilesystemSource, FilesystemType

_ROOT = ("root.path", "root.readonly")
_EARLY = ("linux.uidMappings", "linux.gidMappings")
"""What others are read by: whether a mount shows the host's owners."""
OCI_REASONS: Mapping[str, Reason] = {
    "name": Reason("a bundle is called by its directory"),
    "idmap": Reason(
        "the domain has ids of its own, which its definition does not say",
        "write a range that is free, and give the tree to it: a bundle's root is not shown under other ids",
    ),
    "vcpu": Reason("it has no number of processors", "write linux.resources.cpu.cpus"),
    "devices/filesystem": Reason("it has no such mount, or not this option", "mount it on the host, and bind it"),
    "devices/interface": Reason("a bundle has no cards", "a hook, or who calls the runtime, makes them"),
    "metadata/insula:domain/insula:privileged": Reason("a container without a user namespace is privileged"),
    "metadata/insula:domain/insula:timens": Reason("clocks are shifted by whole seconds"),
}
"""By the place in a domain's XML, beside what is true of most formats."""


def read_oci(document: ForeignDocument, draft: DomainDraft) -> None:
    """Take what a document says into draft. Raises: InvalidArgumentError if it is no JSON object."""
    tree = parsed(document.text)
    bundle = document.path.parent if document.path is not None else None
    _take_root(draft, tree, bundle)
    entries = bounded(tree_entries(_with_places(tree, bundle), OCI_KEYS))
    for entry in sorted(entries, key=lambda each: each.key not in _EARLY):
        if entry.key not in _ROOT:
            OCI_KEYS.read(draft, entry)
    if not any(each.key == "linux.namespaces" for each in entries):
        OCI_KEYS.read(draft, ForeignEntry(key="linux.namespaces", value="[]"))
    draft.has_hosts_ids = not draft.uids
    if draft.name is None and bundle is not None:
        draft.name = bundle.name or None
    if draft.memory is not None and draft.swap_total is None and draft.swap is None:
        draft.swap = NO_LIMIT


def _take_root(draft: DomainDraft, tree: dict[str, Any], bundle: PurePosixPath | None) -> None:
    root = tree.get("root")
    path = root.get("path") if isinstance(root, dict) else None
    entry = ForeignEntry(key="root.path", value=str(path))
    if not isinstance(root, dict) or not isinstance(path, str):
        draft.lost(entry, "no root is named, and a guest never has the host's", "name a directory: root.path")
        return
    if not path.startswith("/") and bundle is None:
        draft.lost(entry, f"{quoted(path)} is beside the bundle, whose place is not known", "write the whole path")
        return
    whole = draft.path(entry, str((bundle or ROOT) / path))
    if whole is not None and whole != ROOT:
        read_only = root.get("readonly") is True
        draft.root = Filesystem(source=FilesystemSource(directory=whole), target=ROOT, read_only=read_only)
    elif whole is not None:
        draft.lost(entry, "the host's own root is no guest's")


def _with_places(tree: dict[str, Any], bundle: PurePosixPath | None) -> dict[str, Any]:
    """Return the tree with sources of bind mounts that are beside the bundle as whole paths."""
    if bundle is None:
        return tree
    try:
        mounts = [dict(each) for each in objects_at(tree.get("mounts", []))]
        for each in mounts:
            is_bound = each.get("type") == "bind" or {"bind", "rbind"} & set(each.get("options") or ())
            if is_bound and not text_at(each.get("source")).startswith("/"):
                each["source"] = str(bundle / each["source"])
    except (ValueError, TypeError):
        return tree
    return {**tree, "mounts": mounts}


def write_oci(domain: DomainDefinition, findings: Iterable[ConversionFinding]) -> str:
    """Return a domain as config.json, what it could not say as annotations."""
    tree = put_together(OCI_KEYS.written(domain))
    root = domain.root
    if root is not None and root.type is FilesystemType.MOUNT and root.source.directory is not None:
        tree["root"] = {"path": str(root.source.directory), "readonly": root.read_only}
    told = {f"{FOUND}{number}": str(each) for number, each in enumerate(findings, start=1)}
    tree["annotations"] = {**tree["annotations"], **told}
    return json.dumps(tree, indent=2) + "\n"
