"""The words of nftables' JSON."""

from ipaddress import ip_network

from insula.network.firewall.nftwords import COMMENT_MAX, DROP, Table, TableFamily, one_of, prefix, span

TABLE = Table(family=TableFamily.BRIDGE, name="t")


def test_a_comment_is_cut_to_what_the_kernels_tools_take() -> None:
    comment = TABLE.rule("c", "ä" * 200, DROP)["add"]["rule"]["comment"]
    assert len(comment.encode()) <= COMMENT_MAX
    assert set(comment) == {"ä"}


def test_a_set_and_a_span_of_one_value_are_that_value() -> None:
    assert (one_of(["a"]), span(5, 5)) == ("a", 5)
    assert one_of(["a", "b"]) == {"set": ["a", "b"]}
    assert span(5, 6) == {"range": [5, 6]}


def test_a_whole_address_is_no_prefix() -> None:
    assert prefix(ip_network("192.0.2.7/32")) == "192.0.2.7"
    assert prefix(ip_network("2001:db8::/32")) == {"prefix": {"addr": "2001:db8::", "len": 32}}
