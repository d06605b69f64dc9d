import pytest

from insula.model.networkforward import ForwardMode


@pytest.mark.parametrize("mode", ForwardMode)
def test_only_networks_that_route_or_are_isolated_make_their_bridge(mode: ForwardMode) -> None:
    assert mode.owns_bridge == (mode in ("none", "nat", "route", "open"))
