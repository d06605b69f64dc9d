"""What the host's packet filter does for one bridge port, as values.

Ports that may not talk to each other (`<port isolated='yes'/>`) need no rule: the bridge has a flag for that on each
port (IFLA_BRPORT_ISOLATED), which the maker of the port sets.
"""

from dataclasses import dataclass

from insula.engine.interfacespec import PortProtection


@dataclass(frozen=True, kw_only=True, slots=True)
class PortRules:
    """The filter that stands before one bridge port.

    host: the name of the host's end of the pair; mac: the guest's, which is the variable MAC unless a parameter says
    otherwise; addresses: those that the guest was given, which are the variables IP and IPV6 unless parameters say
    otherwise. An IP that is asked for and not known is the first one that the guest uses.
    """

    host: str
    mac: str
    protection: PortProtection
    addresses: tuple[str, ...] = ()
