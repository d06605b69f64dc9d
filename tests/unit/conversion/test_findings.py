from insula.conversion.findings import Consequence, ConversionFinding


def test_a_finding_says_where_it_is_what_became_of_it_why_and_what_to_do() -> None:
    found = ConversionFinding(
        consequence=Consequence.LOST, key="lxc.group", line=7, file="/etc/x.conf", why="there are none", advice="use b"
    )
    assert str(found) == "/etc/x.conf, line 7: lost: lxc.group: there are none; use b"


def test_what_is_unknown_is_left_out() -> None:
    assert (
        str(ConversionFinding(consequence=Consequence.CHANGED, key="uuid", why="it has none"))
        == "changed: uuid: it has none"
    )
