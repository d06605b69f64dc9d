"""Filters with their variables filled in."""

from collections.abc import Mapping

import pytest

from insula.engine.interfacespec import PortProtection
from insula.errors import NetworkFilterNotFoundError, OperationFailedError, OperationUnsupportedError
from insula.model.nwfilter import FilterDefinition, load_filter
from insula.network.firewall.filterrules import LEARNT, FilterRule, rules_of
from insula.network.firewall.firewall import no_filter
from insula.network.firewall.portrules import PortRules

MAC = "52:54:00:00:00:01"


def filters(**bodies: str) -> Mapping[str, FilterDefinition]:
    return {name: load_filter(f"<filter name='{name}'>{body}</filter>") for name, body in bodies.items()}


def rule(match: str = "", action: str = "accept") -> str:
    return f"<rule action='{action}' direction='out'>{match}</rule>"


def filled(
    known: Mapping[str, FilterDefinition], *parameters: tuple[str, str], addresses: tuple[str, ...] = ()
) -> tuple[FilterRule, ...]:
    """Return the rules of a port with the filter `f`."""

    def find(name: str) -> FilterDefinition:
        return known[name] if name in known else no_filter(name)

    protection = PortProtection(filter="f", parameters=parameters)
    return rules_of(PortRules(host="vnet0", mac=MAC, protection=protection, addresses=addresses), find)


def values(rules: tuple[FilterRule, ...]) -> list[dict[str, str]]:
    return [dict(each.values) for each in rules]


def test_mac_and_addresses_of_the_guest_are_known() -> None:
    known = filters(f=rule("<arp arpsrcmacaddr='$MAC' arpsrcipaddr='$IP'/>") + rule("<ipv6 srcipaddr='$IPV6'/>"))
    assert values(filled(known, addresses=("192.0.2.7", "2001:db8::7"))) == [
        {"arpsrcmacaddr": MAC, "arpsrcipaddr": "192.0.2.7"},
        {"srcipaddr": "2001:db8::7"},
        {"srcipaddr": "fe80::5054:ff:fe00:1"},
    ]


def test_what_is_said_where_the_filter_is_used_counts_first() -> None:
    known = filters(
        f="<filterref filter='g'>"
        "<parameter name='PORT' value='1'/><parameter name='IP' value='192.0.2.1'/></filterref>",
        g=rule("<tcp srcipaddr='$IP' dstportstart='$PORT'/>"),
    )
    inner = values(filled(known, ("IP", "192.0.2.9")))
    assert inner == [{"srcipaddr": "192.0.2.9", "dstportstart": "1"}]


def test_an_address_that_nobody_knows_is_the_first_that_the_guest_uses() -> None:
    known = filters(f=rule("<ip srcipaddr='$IP'/>"))
    assert values(filled(known)) == [{"srcipaddr": LEARNT}]
    with pytest.raises(OperationFailedError, match="'f' needs the parameter 'IP'"):
        filled(known, ("CTRL_IP_LEARNING", "none"))
    with pytest.raises(OperationUnsupportedError, match="CTRL_IP_LEARNING=dhcp is not there"):
        filled(known, ("CTRL_IP_LEARNING", "dhcp"))


def test_lists_of_one_iterator_go_on_together_and_others_each_with_each() -> None:
    given = (("A", "192.0.2.1"), ("A", "192.0.2.2"), ("P", "1"), ("P", "2"))
    together = filters(f=rule("<tcp srcipaddr='$A' dstportstart='$P'/>"))
    assert [tuple(each.values()) for each in values(filled(together, *given))] == [
        ("192.0.2.1", "1"),
        ("192.0.2.2", "2"),
    ]
    each_with_each = filters(f=rule("<tcp srcipaddr='$A[@1]' dstportstart='$P[@2]'/>"))
    assert len(filled(each_with_each, *given)) == 4
    one = filters(f=rule("<tcp srcipaddr='$A[1]' dstportstart='$P[0]'/>"))
    assert values(filled(one, *given)) == [{"srcipaddr": "192.0.2.2", "dstportstart": "1"}]


@pytest.mark.parametrize(
    ("match", "said"),
    [
        ("<tcp srcipaddr='$NONE'/>", "'f' needs the parameter 'NONE'"),
        ("<tcp srcipaddr='$A[7]'/>", "needs value 7, counted from 0, of the parameter 'A', which has 2"),
        ("<tcp srcipaddr='$A' dstportstart='$P'/>", "goes through the parameters A, P together"),
        ("<tcp srcipaddr='$P'/>", "cannot be filled in: <tcp>, 'srcipaddr': '1', expected an IPv4 address"),
    ],
)
def test_parameters_that_do_not_fit_are_told(match: str, said: str) -> None:
    given = (("A", "192.0.2.1"), ("A", "192.0.2.2"), ("P", "1"), ("P", "2"), ("P", "3"))
    with pytest.raises(OperationFailedError) as caught:
        filled(filters(f=rule(match)), *given)
    assert said in str(caught.value)


def test_filters_that_refer_to_each_other_are_told_with_their_circle() -> None:
    known = filters(f="<filterref filter='g'/>", g="<filterref filter='h'/>", h="<filterref filter='f'/>")
    with pytest.raises(OperationFailedError, match="in a circle, or too deep: f → g → h → f"):
        filled(known)


def test_a_filter_that_is_not_there_is_told_by_name() -> None:
    with pytest.raises(NetworkFilterNotFoundError, match="no network filter with matching name 'g'"):
        filled(filters(f="<filterref filter='g'/>"))


def test_rules_without_end_are_refused() -> None:
    known = filters(f=rule("<tcp srcipaddr='$A[@1]' dstipaddr='$A[@2]' srcportstart='$P[@3]'/>"))
    many = [("A", f"192.0.2.{number}") for number in range(20)] + [("P", str(number)) for number in range(20)]
    with pytest.raises(OperationFailedError, match="more than 4096 rules"):
        filled(known, *many)
