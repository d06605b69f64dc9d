"""A check is a sentence, too."""

from insula.engine.hostcheck import Gravity, HostCheck, fine


def test_a_check_says_what_was_found_what_that_costs_and_what_to_do() -> None:
    lacking = HostCheck(id="a.b", gravity=Gravity.ERROR, found="no nft", costs="no networks", remedy="install nftables")
    assert str(lacking) == "no nft: no networks; install nftables"
    assert (str(fine("a.b", "there is nft")), fine("a", "b").gravity) == ("there is nft", Gravity.OK)
