"""Names of chains."""

from hypothesis import given
from hypothesis import strategies as some

from insula.network.firewall.chainnames import chain_name

NAMES = some.text(min_size=1, max_size=150)


def test_plain_names_stay_what_they_are() -> None:
    assert chain_name("from", "my_net-2") == "from/my_net-2"


def test_a_dot_is_no_plain_character_because_it_begins_the_others() -> None:
    assert chain_name("from", "eth0.5") == "from/eth0.2e5"
    assert chain_name("from", "a b") == "from/a.20b"


@given(NAMES, NAMES)
def test_two_names_never_share_a_chain(one: str, two: str) -> None:
    assert (chain_name("to", one) == chain_name("to", two)) == (one == two)


@given(NAMES)
def test_every_name_fits_nft(name: str) -> None:
    chain = chain_name("arriving", name)
    assert len(chain) < 128
    assert set(chain) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_./")
