"""Readers of keys whose value is the domain's own as it stands, in whatever format."""

from uuid import UUID

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.foreigndocument import ForeignEntry, quoted
from insula.model.sizes import parse_cpuset


def read_user(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.user = entry.value


def read_group(draft: DomainDraft, entry: ForeignEntry) -> None:
    draft.group = entry.value


def read_directory(draft: DomainDraft, entry: ForeignEntry) -> None:
    """The working directory."""
    draft.directory = draft.path(entry, entry.value)


def read_uuid(draft: DomainDraft, entry: ForeignEntry) -> None:
    try:
        draft.uuid = UUID(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no UUID")


def read_nodes(draft: DomainDraft, entry: ForeignEntry) -> None:
    """The NUMA nodes that memory comes from."""
    try:
        draft.nodes = parse_cpuset(entry.value)
    except ValueError:
        draft.lost(entry, f"{quoted(entry.value)} is no list of NUMA nodes")
