"""Other programs' configuration, and vendors' descriptions of devices: documents of each format, edited."""

import json
from pathlib import PurePosixPath
from random import Random

from insula.conversion.cdidescription import read_cdi
from insula.conversion.foreigndocument import ForeignDocument
from insula.conversion.formats import FORMATS, domain_from, text_from
from insula.errors import InvalidArgumentError
from insula.model.domain import DomainDefinition
from insula.model.numbers import XmlFlags
from insula.model.validate import UNREADABLE, problems
from tests.fuzz.documents import DOMAINS, Inputs
from tests.fuzz.mutation import edited
from tests.fuzz.target import BrokenError
from tests.unit.conversion.cdidocuments import ACCELERATORS, GRAPHICS, GRAPHICS_YAML, NETWORK_CARDS, minimal

PLACES = {
    "openvz": "/etc/vz/conf/101.conf",
    "nspawn": "/etc/systemd/nspawn/web.nspawn",
    "oci": "/bundles/web/config.json",
}

WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE


def documents(chance: Random) -> Inputs:
    """Make documents out of what is written of the corpus; the first byte says which format it is read as."""
    domains = [DomainDefinition.load(each) for each in DOMAINS]
    texts = [[text_from(each, domain).text.encode() for domain in domains] for each in FORMATS]
    every = [text for each in texts for text in each]

    def make() -> bytes:
        number = int(chance.random() * len(FORMATS))
        own = texts[number]
        return bytes([number]) + edited(own[int(chance.random() * len(own))], chance, every)

    return make


def converted(data: bytes) -> None:
    """A document is refused with the one error, or is a domain that can be judged, and written in both manners."""
    wanted = FORMATS[(data[0] if data else 0) % len(FORMATS)]
    place = PLACES.get(wanted.name)
    document = ForeignDocument(
        text=data[1:].decode(errors="surrogateescape"), path=PurePosixPath(place) if place else None
    )
    try:
        domain = domain_from(wanted, document, vcpus=4, commented=True).domain
        xml = domain.dump(WHOLE)
        written = text_from(wanted, domain).text
    except InvalidArgumentError:
        return
    if not any(each.startswith(UNREADABLE) for each in problems(domain)):
        again = DomainDefinition.load(xml).dump(WHOLE)
        if again != xml:
            raise BrokenError("its XML, written again, is another")
    domain_from(wanted, ForeignDocument(text=written), vcpus=4)


def descriptions(chance: Random) -> Inputs:
    """Make documents out of descriptions; the first byte says whether they are read as YAML."""
    documents = [minimal(), GRAPHICS, ACCELERATORS, NETWORK_CARDS]
    texts = [*(json.dumps(each).encode() for each in documents), GRAPHICS_YAML.encode()]

    def make() -> bytes:
        return bytes([chance.random() < 0.5]) + edited(texts[int(chance.random() * len(texts))], chance, texts)

    return make


def described(data: bytes) -> None:
    """A description is refused with the one error, or names no path that leaves where it may be."""
    try:
        found = read_cdi(data[1:].decode(errors="replace"), yaml=data[:1] == b"\x01")
    except InvalidArgumentError:
        return
    for edits in found.devices.values():
        inside = [*(each.path for each in edits.nodes), *(each.inside for each in edits.mounts)]
        host = [*(each.host for each in edits.nodes), *(each.host for each in edits.mounts)]
        if any(".." in path.split("/") or not path.startswith("/") or "\0" in path for path in inside + host):
            raise BrokenError("a path leads elsewhere")
        if any(not each.path.startswith("/dev/") for each in edits.nodes):
            raise BrokenError("a node is outside of /dev")
