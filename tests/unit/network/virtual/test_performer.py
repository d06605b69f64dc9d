"""What makes networks: the stand-in keeps to the protocol."""

from insula.network.virtual.performer import NetworkPerformer
from insula.testing.fakenetworks import FakeNetworkPerformer


def test_the_stand_in_is_a_performer() -> None:
    performer: NetworkPerformer = FakeNetworkPerformer()
    assert performer is not None
