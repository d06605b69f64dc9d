"""From a definition to a claim."""

import pytest

from insula.model.domain import DomainDefinition
from insula.service.claims import claim_of, shortcomings
from insula.service.seats import Claim, Pin, Seated
from tests.unit.service.fakes import domain_xml

UNCONFINED = (
    "<metadata><insula:domain xmlns:insula='https://insula.dev/xmlns/domain/1'>"
    "<insula:vcpus confine='{}'/></insula:domain></metadata>"
)


def domain(vcpu: str, more: str = "") -> DomainDefinition:
    return DomainDefinition.load(domain_xml(more=more).replace("<vcpu>2</vcpu>", vcpu))


@pytest.mark.parametrize(
    ("vcpu", "more", "claim"),
    [
        ("<vcpu>3</vcpu>", "", Claim(free=3)),
        ("<vcpu current='2'>3</vcpu>", "", Claim(free=2)),
        ("<vcpu current='0'>3</vcpu>", "", Claim(free=3)),
        ("<vcpu cpuset='0-3,^1'>2</vcpu>", "", Claim(free=2, allowed="0,2-3")),
        ("<vcpu placement='auto' cpuset='0'>2</vcpu>", "", Claim(free=2)),
        (
            "<vcpu cpuset='0-3' current='1'>2</vcpu>",
            "<cputune><vcpupin vcpu='0' cpuset='5-6'/><vcpupin vcpu='1' cpuset='4'/></cputune>",
            Claim(free=0, pins=(Pin(vcpu=0, cpus="5-6"),), allowed="0-3"),
        ),
        ("<vcpu>2</vcpu>", "<numatune><memory nodeset='1'/></numatune>", Claim(free=2, nodes="1")),
        (
            "<vcpu current='2'>3</vcpu><vcpus><vcpu id='0' enabled='yes'/><vcpu id='1' enabled='no'/>"
            "<vcpu id='2' enabled='yes'/></vcpus>",
            "<cputune><vcpupin vcpu='1' cpuset='1'/><vcpupin vcpu='2' cpuset='2'/></cputune>",
            Claim(free=1, pins=(Pin(vcpu=2, cpus="2"),)),
        ),
    ],
)
def test_a_claim_is_what_the_definition_says_of_the_processors_in_use(vcpu: str, more: str, claim: Claim) -> None:
    assert claim_of(domain(vcpu, more), confine=True) == claim


@pytest.mark.parametrize(("said", "confine", "whole"), [("no", True, True), ("yes", False, False)])
def test_the_definition_says_whether_the_number_binds_before_the_daemon_does(
    said: str, confine: bool, whole: bool
) -> None:
    assert claim_of(domain("<vcpu>1</vcpu>", UNCONFINED.format(said)), confine=confine).whole is whole
    assert claim_of(domain("<vcpu>1</vcpu>"), confine=confine).whole is not confine


def test_a_guest_with_less_than_it_may_expect_is_told_so() -> None:
    more = "<cputune><period>100000</period><quota>250000</quota></cputune>"
    few, quota = shortcomings(domain("<vcpu>3</vcpu>", more), Seated(claim=Claim(free=3), cpus=frozenset({0, 1})))
    assert few.startswith("it has 3 virtual processors in use and only 2 of the host's")
    assert quota.startswith("its quota is the time of 2.5 processors, and it has 2")
    enough = Seated(claim=Claim(free=3), cpus=frozenset({0, 1, 2}))
    assert shortcomings(domain("<vcpu>3</vcpu>", more), enough) == []
    assert shortcomings(domain("<vcpu>3</vcpu>", more), None) == []
