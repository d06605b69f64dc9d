"""The packet filter's front; what it does to the kernel is in tests/system."""

from pathlib import Path

import pytest

from insula.errors import NetworkFilterNotFoundError
from insula.network.firewall.firewall import Firewall, table_of
from tests.rulesets import port_with


def test_each_installation_has_tables_of_its_own() -> None:
    assert table_of(Path("/")) == "insula"
    assert table_of(Path("/tmp/one")) != table_of(Path("/tmp/two"))
    assert table_of(Path("/tmp/one")) == table_of(Path("/tmp/one"))


def test_where_nobody_keeps_filters_none_is_found() -> None:
    with pytest.raises(NetworkFilterNotFoundError, match="'clean-traffic'"):
        Firewall("insula-nowhere").protect(port_with("clean-traffic"))
