"""The packet filter that lets everything pass."""

import pytest

from insula.errors import OperationFailedError
from insula.testing.fakefirewall import FakeFirewall


def test_it_counts_and_refuses_as_it_is_told() -> None:
    firewall = FakeFirewall(frozenset({"f"}))
    firewall.refilter()
    firewall.refusal = OperationFailedError("no")
    with pytest.raises(OperationFailedError):
        firewall.refilter()
    assert (firewall.filters(), firewall.refilterings) == (frozenset({"f"}), 2)
