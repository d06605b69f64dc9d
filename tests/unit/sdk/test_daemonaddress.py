"""Addresses of daemons, as libvirt's clients write them."""

import pytest

from insula.errors import InsulaError, InvalidArgumentError, OperationUnsupportedError
from insula.sdk.daemonaddress import DaemonAddress, parse_address


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("lxc:///system", DaemonAddress(transport="unix", host="", user=None, port=None, options={})),
        ("lxc+unix:///?socket=/x",
         DaemonAddress(transport="unix", host="", user=None, port=None, options={"socket": "/x"})),
        ("lxc://web1/system", DaemonAddress(transport="tls", host="web1", user=None, port=None, options={})),
        ("lxc+tls://web1:7/", DaemonAddress(transport="tls", host="web1", user=None, port=7, options={})),
        ("lxc+tls://[::1]/system?pkipath=/a%20b",
         DaemonAddress(transport="tls", host="::1", user=None, port=None, options={"pkipath": "/a b"})),
        ("lxc+tls://web1/system?pkipath=/a+b",
         DaemonAddress(transport="tls", host="web1", user=None, port=None, options={"pkipath": "/a+b"})),
        ("lxc+ssh://anna%40corp@web1/system",
         DaemonAddress(transport="ssh", host="web1", user="anna@corp", port=None, options={})),
        ("insula+ssh://root@web1:22/system?keyfile=/k",
         DaemonAddress(transport="ssh", host="web1", user="root", port=22, options={"keyfile": "/k"})),
    ],
)  # fmt: skip
def test_an_address_says_how_to_get_there(uri: str, address: DaemonAddress) -> None:
    assert parse_address(uri) == address


@pytest.mark.parametrize(
    ("uri", "kind", "complaint"),
    [
        ("qemu:///system", OperationUnsupportedError, "does not lead to lxc:///system"),
        ("lxc:///session", OperationUnsupportedError, "does not lead to lxc:///system"),
        ("lxc+libssh2://web1/system", OperationUnsupportedError, "there are unix, ssh, tls, tcp"),
        ("lxc+tls://web1/system?no_verify=1", OperationUnsupportedError, "'no_verify' means nothing by tls"),
        ("lxc+ssh:///system", InvalidArgumentError, "ssh needs a host"),
        ("lxc+unix://web1/system", InvalidArgumentError, "unix has no host"),
        ("lxc+ssh://-oProxyCommand=x/system", InvalidArgumentError, "a name begins with -"),
        ("lxc+ssh://-l@web1/system", InvalidArgumentError, "a name begins with -"),
        ("lxc+ssh://%2Dl@web1/system", InvalidArgumentError, "a name begins with -"),
        ("lxc+ssh://web1:port/system", InvalidArgumentError, "no address of a daemon"),
        ("lxc+ssh://web1/system?socket", InvalidArgumentError, "no address of a daemon"),
    ],
)
def test_what_leads_nowhere_is_refused_in_words(uri: str, kind: type[InsulaError], complaint: str) -> None:
    with pytest.raises(kind, match=complaint):
        parse_address(uri)
