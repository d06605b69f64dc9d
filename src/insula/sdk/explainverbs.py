"""Why operations are refused in a guest, as verbs: see `verbs`."""

from insula.rpc.procedures import Insula
from insula.rpc.wiretypes import DomainRef
from insula.sdk.conversation import Conversation, ask
from insula.sdk.values import Json
from insula.sdk.verbs import json_mapping


def confinement(domain: DomainRef) -> Conversation[Json]:
    """Return what holds its guest: `domain`, and `held_by`, a list of layers with `layer`, `says`, `change`, `refused`.

    Raises: OperationInvalidError if it is off.
    """
    return json_mapping((yield from ask(Insula.DOMAIN_CONFINEMENT, domain, 0)))


def examine() -> Conversation[Json]:
    """Return what the host, and the daemon, have and lack: `checks`, each with `id`, `gravity` (ok, note, warning,
    error), `found`, `costs` and `remedy`."""
    return json_mapping((yield from ask(Insula.HOST_EXAMINE, 0)))


def explanation(handle: int) -> Conversation[Json]:
    """Return, once a program that was traced has ended, what was refused to it, and by whom; it is told once.

    `status`: its raw wait status; `refusals`: each with `call`, `errno`, `mattered`, `certain` and `verdicts`, which
    have `layer`, `evidence`, `change`, `advice` and `settle`. Raises: InvalidArgumentError for one that was not traced.
    """
    return json_mapping((yield from ask(Insula.EXEC_EXPLANATION, handle)))
