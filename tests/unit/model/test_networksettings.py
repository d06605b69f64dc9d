from ipaddress import ip_address

import pytest

from insula.model.networksettings import PortForward


@pytest.mark.parametrize(("end", "last"), [(None, 8080), (8090, 8090)])
def test_a_forward_is_of_one_port_unless_it_names_its_last(end: int | None, last: int) -> None:
    assert PortForward(start=8080, end=end, to=ip_address("192.0.2.7")).last == last
