"""Where nobody filters, nothing is taken for filtered."""

import pytest

from insula.engine.interfacespec import PortProtection
from insula.errors import UnsupportedConfigError
from insula.network.firewall.portrules import PortRules
from insula.network.portguard import NoGuard


def test_a_filter_that_nobody_stands_for_is_refused_and_none_is_released() -> None:
    NoGuard().release("vnet0")
    rules = PortRules(host="vnet0", mac="52:54:00:00:00:01", protection=PortProtection(filter="clean-traffic"))
    with pytest.raises(UnsupportedConfigError, match="'clean-traffic' would not hold"):
        NoGuard().protect(rules)
