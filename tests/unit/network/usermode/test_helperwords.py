"""How cards are told to helpers; that these understand it is seen in tests/system/test_user_cards.py."""

import json

import pytest

from insula.engine.interfacespec import Address, ForwardedPorts, ForwardedRange, UserHelper, UserInterface
from insula.errors import OperationUnsupportedError
from insula.network.usermode.helperwords import slirp_requests, words_of

MAC = "52:54:00:12:34:56"


def forward(*ranges: tuple[int, int, int], address: str | None = None, device: str | None = None) -> ForwardedPorts:
    made = tuple(ForwardedRange(first=first, last=last, to=to) for first, last, to in ranges)
    return ForwardedPorts(protocol="tcp", ranges=made, address=address, device=device)


def card(*forwards: ForwardedPorts, device: str | None = None, log: str | None = None) -> UserInterface:
    return UserInterface(guest="eth0", forwards=forwards, device=device, log=log)


def after(words: tuple[str, ...], option: str) -> list[str]:
    return [words[place + 1] for place, each in enumerate(words) if each == option]


def test_nothing_is_forwarded_unless_asked_and_the_hosts_loopback_is_out_of_reach() -> None:
    pasta = words_of(UserHelper.PASTA, card(), "eth0", MAC)
    for option in ("--tcp-ports", "--udp-ports", "--tcp-ns", "--udp-ns"):
        assert after(pasta, option) == ["none"]
    assert "--no-map-gw" in pasta
    slirp = words_of(UserHelper.SLIRP4NETNS, card(), "eth0", MAC)
    assert {"--disable-host-loopback", "--enable-sandbox", "--enable-seccomp"} < set(slirp)
    assert "--api-socket" not in slirp
    assert slirp[-1] == "eth0"


def test_pasta_is_told_ports_with_the_address_and_device_of_the_host() -> None:
    wanted = card(
        forward((8080, 8080, 80), (9000, 9009, 9000)),
        forward((22, 22, 22), address="2001:db8::1", device="eth1"),
        device="eth2",
        log="/var/log/card",
    )
    words = words_of(UserHelper.PASTA, wanted, "lan0", MAC)
    assert after(words, "--tcp-ports") == ["8080-8080:80-80,9000-9009:9000-9009", "2001:db8::1%eth1/22-22:22-22"]
    assert after(words, "--interface") == after(words, "--outbound-if4") == ["eth2"]
    assert after(words, "--log-file") != []
    assert after(words, "--ns-ifname") == ["lan0"]


def test_slirp4netns_is_asked_for_each_port_by_itself() -> None:
    wanted = card(forward((8080, 8081, 80), address="192.0.2.1"))
    asked = [json.loads(each) for each in slirp_requests(wanted)]
    assert [each["execute"] for each in asked] == ["add_hostfwd"] * 2
    assert asked[1]["arguments"] == {
        "proto": "tcp",
        "host_addr": "192.0.2.1",
        "host_port": 8081,
        "guest_addr": "10.0.2.15",
        "guest_port": 81,
    }
    assert "--api-socket" in words_of(UserHelper.SLIRP4NETNS, wanted, "eth0", MAC)


@pytest.mark.parametrize(
    "wanted",
    [
        card(forward((1, 2000, 1))),
        card(forward((80, 80, 80), address="2001:db8::1")),
        card(forward((80, 80, 80), device="eth0")),
        UserInterface(guest="eth0", addresses=(Address(address="10.0.2.5", prefix=28),)),
        UserInterface(guest="eth0", addresses=(Address(address="fd12::5", prefix=64),)),
    ],
)
def test_what_slirp4netns_cannot_do_is_refused_and_passt_named(wanted: UserInterface) -> None:
    with pytest.raises(OperationUnsupportedError, match="install passt"):
        (words_of(UserHelper.SLIRP4NETNS, wanted, "eth0", MAC), slirp_requests(wanted))
