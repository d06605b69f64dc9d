"""How domains start and stop beside others, and with the host, as verbs: see `verbs`."""

import json

from insula.rpc.procedures import Insula, Remote
from insula.rpc.wiretypes import DomainRef
from insula.sdk.conversation import Conversation, ask, ask_for


def autostart(domain: DomainRef) -> Conversation[bool]:
    """Whether it starts with the host."""
    return bool((yield from ask(Remote.DOMAIN_GET_AUTOSTART, domain)))


def set_autostart(domain: DomainRef, *, wanted: bool) -> Conversation[None]:
    """Let it start with the host, or not."""
    yield from ask(Remote.DOMAIN_SET_AUTOSTART, domain, wanted)


def autostart_once(domain: DomainRef) -> Conversation[bool]:
    """Whether it starts with the host's next start only."""
    return bool((yield from ask(Remote.DOMAIN_GET_AUTOSTART_ONCE, domain)))


def set_autostart_once(domain: DomainRef, *, wanted: bool) -> Conversation[None]:
    """Let it start with the host's next start, whatever it does at others, or not."""
    yield from ask(Remote.DOMAIN_SET_AUTOSTART_ONCE, domain, wanted)


def start_with_dependencies(domain: DomainRef) -> Conversation[DomainRef]:
    """Start it, and before it what it depends on and does not run.

    Raises: OperationFailedError if something of that cannot be started.
    """
    return (yield from ask_for(DomainRef, Insula.DOMAIN_START_WITH_DEPENDENCIES, domain, 0))


def wait_ready(domain: DomainRef) -> Conversation[None]:
    """Return once it is ready, as its definition says, or at once if that says nothing; a reboot is waited through.

    Raises: OperationInvalidError if it is off; OperationFailedError if it ends before.
    """
    yield from ask(Insula.DOMAIN_WAIT_READY, domain, 0)


def stop_order() -> Conversation[list[list[str]]]:
    """Return the names of the domains that run, in the order in which they are to stop: those of one list at once."""
    told = json.loads((yield from ask_for(str, Insula.DOMAIN_STOP_ORDER, 0)))
    return [[str(name) for name in stage] for stage in told]
