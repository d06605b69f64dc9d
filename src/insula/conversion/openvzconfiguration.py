"""OpenVZ's files of containers as a whole. A file is called by its container's number, which $VEID stands for."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from insula.conversion.domaindraft import NO_LIMIT, DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument, ForeignEntry
from insula.conversion.losses import Reason
from insula.conversion.openvzkeys import OPENVZ_KEYS
from insula.conversion.openvzsyntax import openvz_entries, openvz_text
from insula.model.domain import DomainDefinition
from insula.model.visible import visible

PRIVATE = "/vz/private/$VEID"
_NUMBER = re.compile(r"\$\{?VEID\}?")
_FIRST = ("VE_PRIVATE", "VE_LAYOUT")
OPENVZ_REASONS: Mapping[str, Reason] = {
    "uuid": Reason("its UUID is another one"),
    "os/init": Reason("a container's init is /sbin/init"),
    "idmap": Reason("containers of OpenVZ have the host's ids"),
    "metadata/insula:domain/insula:privileged": Reason("containers of OpenVZ have the host's ids"),
    "devices/filesystem": Reason("a container has one tree", "mount the others by a script: CTID.mount"),
    "devices/interface": Reason("it has no such network, or no such part of one", "choose a bridge"),
    "devices/interface/ip": Reason("addresses of a card on a bridge are set inside"),
    "devices/interface/guest": Reason("every card has a name inside"),
    "cputune/shares": Reason("cpuunits are coarser"),
    "cputune/quota": Reason("the limit is in whole percent of a processor"),
    "cputune/period": Reason("the period is the kernel's"),
}
"""By the place in a domain's XML, beside what is true of most formats."""


def read_openvz(document: ForeignDocument, draft: DomainDraft) -> None:
    """Take what a document says into draft. Raises: InvalidArgumentError with the line where it is no such file."""
    entries = openvz_entries(document)
    number = document.path.name.removesuffix(".conf") if document.path is not None else None
    if not any(each.key == "VE_PRIVATE" for each in entries):
        named = ForeignEntry(key="VE_PRIVATE", value=PRIVATE)
        draft.changed(named, f"it is in vz.conf, which was not read; taken to be {PRIVATE}", "write the directory")
        entries = (named, *entries)
    # What the root is in comes before what kind it is of.
    for entry in sorted(entries, key=lambda each: _FIRST.index(each.key) if each.key in _FIRST else len(_FIRST)):
        if "$" not in entry.value:
            OPENVZ_KEYS.read(draft, entry)
        elif number is None:
            draft.lost(entry, "the container's number, $VEID, is its file's name, which is not known", "write it out")
        else:
            whole = _NUMBER.sub(lambda _: str(number), entry.value)
            OPENVZ_KEYS.read(draft, replace(entry, value=whole))
    draft.name = draft.name or draft.hostname or number
    if draft.memory is not None and draft.swap is None:
        draft.swap = NO_LIMIT


def write_openvz(domain: DomainDefinition, findings: Iterable[ConversionFinding]) -> str:
    """Return a domain as a container's file, what it could not say as comments before it."""
    head = [f"# {visible(domain.name)}, as a domain of Insula has it", *(f"# {each}" for each in findings)]
    return "\n".join([*head, openvz_text(OPENVZ_KEYS.written(domain))])
