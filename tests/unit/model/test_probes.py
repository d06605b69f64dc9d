"""Probes and readiness, as the XML has them."""

import pytest

from insula.model.domain import DomainDefinition
from insula.model.probes import DefinedReadiness, Probe
from insula.model.validate import problems
from tests.unit.model.test_bootorder import read


def readiness(attributes: str) -> DefinedReadiness:
    domain = read(f"<insula:readiness {attributes}/>")
    found = domain.settings.readiness
    assert found is not None and DomainDefinition.load(domain.dump()) == domain
    return found


def test_a_readiness_is_read_and_written() -> None:
    assert readiness("notify='yes'").notifies
    assert not readiness("port='80'").notifies
    found = readiness("port='5432' address='192.0.2.1' interval='5' timeout='10'")
    assert (found.port, found.addresses, found.interval, found.timeout) == (5432, ("192.0.2.1",), 5, 10)


def test_a_command_is_words_that_no_shell_reads() -> None:
    assert readiness("command='test -e &quot;/a file&quot; $x'").words == ("test", "-e", "/a file", "$x")


def test_a_port_is_the_loopbacks_where_no_address_is_given() -> None:
    assert Probe(port=80).addresses == ("127.0.0.1", "::1")
    assert [str(Probe(port=80)), str(Probe(command="true"))] == ["port 80", "command 'true'"]
    assert str(readiness("port='80' address='::1'")) == "port 80 of ::1"


@pytest.mark.parametrize(
    ("attributes", "problem"),
    [
        ("", "the readiness is known in one way: choose one of notify, port and command"),
        ("notify='no'", "the readiness is known in one way: choose one of notify, port and command"),
        ("notify='yes' port='1'", "the readiness is known in one way: choose one of notify, port and command"),
        ("notify='yes' address='::1'", "the readiness has an address and no port to try there"),
        ("command='a &quot;b'", "the command of the readiness cannot be read: no closing quotation"),
        ("command=' '", "the command of the readiness names no program"),
    ],
)
def test_what_makes_no_sense_is_named(attributes: str, problem: str) -> None:
    assert problems(read(f"<insula:readiness {attributes}/>")) == (problem,)
