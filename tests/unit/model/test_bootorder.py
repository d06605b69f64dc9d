"""Places and dependencies, as the XML has them."""

import pytest

from insula.errors import InsulaError
from insula.model.bootorder import Dependency, StartPlace
from insula.model.domain import DomainDefinition
from insula.model.scalars import DomainName, YesNo
from insula.model.validate import problems

XML = """<domain type='lxc'><name>web</name><uuid>7d0c4b1e-6e4b-4c5e-9d5f-1c1f0d7a0a01</uuid><metadata>
<insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>{}</insula:domain></metadata><memory>1024</memory>
<os><type>exe</type></os></domain>"""


def read(settings: str) -> DomainDefinition:
    return DomainDefinition.load(XML.format(settings))


def test_place_and_dependencies_are_read_and_written() -> None:
    domain = read(
        "<insula:autostart order='10' delay='5' group='web'/><insula:depends-on domain='db'/>"
        "<insula:depends-on domain='cache' required='no'/>"
    )
    assert domain.settings.start_place == StartPlace(order=10, delay=5, group="web")
    assert domain.settings.depends_on == (
        Dependency(domain=DomainName("db")),
        Dependency(domain=DomainName("cache"), required=YesNo.NO),
    )
    assert DomainDefinition.load(domain.dump()) == domain
    assert problems(domain) == ()


@pytest.mark.parametrize(
    "settings",
    [
        "<insula:autostart order='-1'/>",
        "<insula:autostart delay='86401'/>",
        "<insula:depends-on/>",
        "<insula:depends-on domain='a/b'/>",
        "<insula:depends-on domain='db' required='perhaps'/>",
    ],
)
def test_what_makes_no_sense_is_refused(settings: str) -> None:
    with pytest.raises(InsulaError, match="insula:"):
        read(settings)


def test_a_domain_depends_on_another_once_and_not_on_too_many() -> None:
    assert problems(read("<insula:depends-on domain='db'/>" * 2)) == ("the domain depends on 'db' twice",)
    many = "".join(f"<insula:depends-on domain='d{number}'/>" for number in range(65))
    assert problems(read(many)) == ("the domain depends on more than 64 others",)
