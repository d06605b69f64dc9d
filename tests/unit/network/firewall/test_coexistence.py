"""Living beside others' firewalls: told once, mended where that is allowed."""

from collections.abc import Sequence
from typing import cast

from insula.errors import OperationFailedError
from insula.network.firewall.coexistence import Coexistence
from insula.network.firewall.firewalld import Firewalld
from insula.network.firewall.iptables import Iptables
from insula.network.firewall.otherfirewalls import FilterListing, read_listing
from tests.rulesets import NAT
from tests.unit.network.firewall.test_otherfirewalls import DOCKER, NOTHING


class RecordedIptables:
    """Lists a text, and keeps what is added to it and taken from it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.inserted: list[tuple[Sequence[str], str]] = []
        self.deleted: list[Sequence[str]] = []
        self.refusal: OperationFailedError | None = None

    def listing(self) -> FilterListing | None:
        return read_listing(self.text)

    def insert(self, rule: Sequence[str], comment: str) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.inserted.append((rule, comment))

    def delete(self, rule: Sequence[str]) -> None:
        self.deleted.append(rule)


class QuietFirewalld:
    def admit(self, bridge: str, zone: str | None) -> str | None:
        return None


def beside(program: RecordedIptables, told: list[str], *, mends: bool = False) -> Coexistence:
    programs = {4: cast("Iptables", program)}
    firewalld = cast("Firewalld", QuietFirewalld())
    return Coexistence("insula", told.append, mends=mends, programs=programs, firewalld=firewalld)


def test_what_keeps_a_network_is_told_once_as_long_as_it_lasts() -> None:
    told: list[str] = []
    program = RecordedIptables(DOCKER)
    others = beside(program, told)
    others.welcome([NAT])
    others.welcome([NAT])
    assert len(told) == 1
    program.text = NOTHING
    others.welcome([NAT])
    program.text = DOCKER
    others.welcome([NAT])
    assert len(told) == 2
    assert program.inserted == []


def test_where_it_is_allowed_others_are_told_to_let_the_network_be() -> None:
    told: list[str] = []
    program = RecordedIptables(DOCKER)
    others = beside(program, told, mends=True)
    others.welcome([NAT])
    assert [rule[1:3] for rule, _ in program.inserted] == [("-o", "virbr0"), ("-i", "virbr0")]
    assert {comment for _, comment in program.inserted} == {"insula: network default"}
    assert told == []


def test_what_was_added_goes_with_the_network_and_nothing_else_does() -> None:
    ours = '-A DOCKER-USER -i virbr0 -m comment --comment "insula: network default" -j ACCEPT\n'
    theirs = '-A DOCKER-USER -i virbr1 -m comment --comment "insula: network other" -j ACCEPT\n'
    program = RecordedIptables(DOCKER + ours + theirs)
    beside(program, []).forget(["default"])
    assert [rule[:3] for rule in program.deleted] == [("DOCKER-USER", "-i", "virbr0")]


def test_what_cannot_be_mended_is_told_and_fails_no_network() -> None:
    told: list[str] = []
    program = RecordedIptables(DOCKER)
    program.refusal = OperationFailedError("iptables: permission denied")
    beside(program, told, mends=True).welcome([NAT])
    assert told == ["what others' rules keep the network 'default' from is not known: iptables: permission denied"]
