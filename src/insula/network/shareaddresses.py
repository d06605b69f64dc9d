"""A share of the host's network: whether the host has what a guest is to use of it."""

from ipaddress import ip_address

from insula.engine.interfacespec import NetworkShare
from insula.errors import OperationFailedError, UnsupportedConfigError
from insula.network.links import all_addresses
from insula.network.rtnetlink import Rtnetlink


def refuse_absent_addresses(share: NetworkShare) -> None:
    """Raises: UnsupportedConfigError if no interface of the host has one of the addresses; OperationFailedError."""
    try:
        with Rtnetlink() as host:
            there = {ip_address(each.address) for _, each in all_addresses(host)}
    except OSError as error:
        raise OperationFailedError(f"the host's addresses cannot be read: {error.strerror}") from error
    for each in share.addresses:
        if ip_address(each) not in there:
            raise UnsupportedConfigError(
                f"no interface of the host has the address {each} that the domain is to share: give it one of the "
                f"host's, or add it there (ip address add {each} dev …)"
            )
