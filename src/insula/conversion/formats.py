"""The formats there are, each a line: what reads it, what writes it, and why a domain says more than it."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from insula.conversion.domaindraft import DomainDraft
from insula.conversion.findings import ConversionFinding
from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.incusconfiguration import INCUS_REASONS, read_incus, write_incus
from insula.conversion.incuskeys import INCUS_KEYS
from insula.conversion.keytable import KeyTable
from insula.conversion.losses import Reason, losses
from insula.conversion.lxcconfiguration import LXC_REASONS, read_lxc, write_lxc
from insula.conversion.lxckeys import LXC_KEYS
from insula.conversion.nspawnconfiguration import NSPAWN_REASONS, read_nspawn, write_nspawn
from insula.conversion.nspawnkeys import NSPAWN_KEYS
from insula.conversion.ociconfiguration import OCI_REASONS, read_oci, write_oci
from insula.conversion.ocikeys import OCI_KEYS
from insula.conversion.openvzconfiguration import OPENVZ_REASONS, read_openvz, write_openvz
from insula.conversion.openvzkeys import OPENVZ_KEYS
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition
from insula.model.resourcetuning import VCPU_MAX


@dataclass(frozen=True, kw_only=True, slots=True)
class ForeignFormat:
    """One format. name: what clients call it; title: what people do; read: a document into a draft; write: a domain
    and what was found out about it to a document; reasons: why something of a domain is lost, by its place."""

    name: str
    title: str
    keys: KeyTable
    read: Callable[[ForeignDocument, DomainDraft], None]
    write: Callable[[DomainDefinition, Iterable[ConversionFinding]], str]
    reasons: Mapping[str, Reason]


FORMATS: tuple[ForeignFormat, ...] = (
    ForeignFormat(
        name="lxc-tools",
        title="configuration of LXC 2 to 6",
        keys=LXC_KEYS,
        read=read_lxc,
        write=write_lxc,
        reasons=LXC_REASONS,
    ),
    ForeignFormat(
        name="openvz",
        title="a container's file of OpenVZ 6 and 7 and Virtuozzo",
        keys=OPENVZ_KEYS,
        read=read_openvz,
        write=write_openvz,
        reasons=OPENVZ_REASONS,
    ),
    ForeignFormat(
        name="oci",
        title="config.json of an OCI runtime bundle, 1.0 to 1.2",
        keys=OCI_KEYS,
        read=read_oci,
        write=write_oci,
        reasons=OCI_REASONS,
    ),
    ForeignFormat(
        name="nspawn",
        title="settings files of systemd-nspawn",
        keys=NSPAWN_KEYS,
        read=read_nspawn,
        write=write_nspawn,
        reasons=NSPAWN_REASONS,
    ),
    ForeignFormat(
        name="incus",
        title="YAML of an instance of Incus or LXD",
        keys=INCUS_KEYS,
        read=read_incus,
        write=write_incus,
        reasons=INCUS_REASONS,
    ),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedDomain:
    """What became of a document."""

    domain: DomainDefinition
    findings: tuple[ConversionFinding, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ConvertedText:
    """What became of a domain."""

    text: str
    findings: tuple[ConversionFinding, ...]


def format_named(name: str) -> ForeignFormat:
    """Return the format of that name. Raises: InvalidArgumentError that names those there are."""
    for each in FORMATS:
        if each.name == name:
            return each
    known = ", ".join(each.name for each in FORMATS)
    raise InvalidArgumentError(f"the format '{name[:40]}' is not known; choose of {known}")


def domain_from(
    wanted: ForeignFormat, document: ForeignDocument, *, vcpus: int, commented: bool = False
) -> ConvertedDomain:
    """Return the domain that a document describes. commented: with the findings as comments.

    vcpus: how many processors the host has, which a domain gets that says no number.
    Raises: InvalidArgumentError with the line where the document is none of this format.
    """
    draft = DomainDraft(vcpus=max(1, min(vcpus, VCPU_MAX)), name=document.name)
    wanted.read(document.checked(), draft)
    draft.findings.sort(key=lambda each: (each.file, each.line))
    return ConvertedDomain(domain=draft.domain(commented=commented), findings=tuple(draft.findings))


def text_from(wanted: ForeignFormat, domain: DomainDefinition) -> ConvertedText:
    """Return a domain in a format. What it says is read back, and whatever is another then is a finding."""
    written = wanted.write(domain, ())
    back = domain_from(wanted, ForeignDocument(text=written), vcpus=VCPU_MAX).domain
    findings = losses(domain, back, wanted.reasons)
    return ConvertedText(text=wanted.write(domain, findings), findings=findings)
