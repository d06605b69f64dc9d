"""A card's helper, from the card's spec to a process that carries its traffic."""

import os
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv6Address

from insula.engine.interfaceperformer import ConnectedInterface, HelperPlace, InterfaceHelper
from insula.engine.interfacespec import UserHelper, UserInterface
from insula.network.guestinterfaces import done_in
from insula.network.hotplug import talk_in
from insula.network.kinds.userports import tap_of
from insula.network.links import set_carrier
from insula.network.usermode.helperlauncher import HelperLaunch, is_own, user_namespace_of
from insula.network.usermode.helperprocess import helper_name, start_helper
from insula.network.usermode.helperprograms import installed_helper
from insula.network.usermode.helperwords import USERS, slirp_requests, words_of
from insula.network.usermode.neighbour import advertise
from insula.network.usermode.usersubnets import user_subnets


def begin_helper(
    connected: ConnectedInterface, wanted: UserInterface, place: HelperPlace, *, network: int, here: int
) -> ConnectedInterface:
    """Return a card with a helper that carries its traffic from now on; a former one is ended.

    network, here: open files of the guest's network namespace and of the host's. Blocks.
    Raises: OperationUnsupportedError for what cannot be had here; OperationFailedError with the helper's words;
    OSError.
    """
    namespace = user_namespace_of(network)
    try:
        program = installed_helper(wanted.helper, privileged=is_own(namespace))
    finally:
        os.close(namespace)
    with talk_in(network) as inside:
        tap = tap_of(connected, inside)
    words = words_of(program.helper, wanted, tap.name, connected.mac)
    pasta = program.helper is UserHelper.PASTA
    launch = HelperLaunch(
        command=(program.path, *words),
        network=network,
        host=here,
        user=USERS[program.helper],
        resolvers=(user_subnets(wanted)[0].resolver,) if pasta else None,
        log=wanted.log,
        requests=() if pasta else slirp_requests(wanted),
    )
    process = start_helper(helper_name(place.launch, connected.mac), launch, place.enter)
    _, ipv6 = user_subnets(wanted)
    if ipv6.given and isinstance(ipv6.guest.ip, IPv6Address):
        address = ipv6.guest.ip
        with suppress(OSError):  # the guest may have taken it away since
            done_in(network, lambda: advertise(address, connected.mac, tap.index))
    if not wanted.up:
        with talk_in(network) as inside:
            inside.perform(set_carrier(tap.index, on=False))
    return replace(connected, helper=InterfaceHelper(program=program.helper, process=process, launch=place.launch))
