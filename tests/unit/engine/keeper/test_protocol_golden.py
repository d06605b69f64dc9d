"""The protocol and the programs' encoding are what the recorded version says: who changes them raises the version.

A keeper that holds guests stays while the daemon is replaced, so both sides of these bytes may be of different builds.

To record a new version: raise `VERSION`, run this file as a program, and describe the former in `dialects.py`, with a
recorded build in `tests/data/keepers` (see `tests/recorded.py`).
"""

import json
import os
import select
import socket
import subprocess
from pathlib import Path
from typing import Any

from insula.engine.keeper import protocol
from insula.engine.keeper.held import StartPhase
from insula.engine.keeper.keeper import Keeper
from insula.engine.keeper.protocol import VERSION, EventKind, Verb
from insula.engine.program import image
from tests.unit.engine.forkedkeeper import ForkedKeeper
from tests.waiting import patience

RECORDED = Path(__file__).parents[3] / f"data/keepers/protocol-{VERSION}.json"


def description() -> dict[str, Any]:
    """Return all that both sides must agree on, as JSON-able data."""
    return {
        "version": VERSION,
        "verbs": verbs(),
        "events": {each.name: each.value for each in EventKind},
        # What is ordered only is told of nowhere: who asks for it is answered when it is there.
        "states": [each.name for each in StartPhase if each is not StartPhase.ORDERED],
        "datagram": datagram(),
        "answers": answers(),
        "program": {
            "magic": image.MAGIC.hex(),
            "header": [image.HEADER.format, image.HEADER_SIZE, image.AT_OFFSET, image.CHANNEL_OFFSET],
            "record": [image.RECORD.format, image.RECORD_SIZE, image.RESULT_OFFSET],
            "relocation": image.RELOCATION.format,
            "kinds": {each.name: each.value for each in image.ArgumentKind},
            "flags": {each.name: each.value for each in image.RecordFlag},
            "pseudo-calls": [image.COMPARE, image.STORE],
            "go": image.GO.decode(),
            "attempts": image.ATTEMPTS,
            "failed": image.FAILED,
        },
    }


def verbs() -> dict[str, str]:
    """Return what each verb takes and answers, as its method says."""
    methods = {verb.value: getattr(Keeper, f"_{verb.value}", None) for verb in Verb}
    said = {verb: None if method is None else method.__doc__ for verb, method in methods.items()}
    return {verb: " ".join((text or "").split()) for verb, text in said.items()}


def datagram() -> str:
    """Return what is sent for a request with a descriptor."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        protocol.send(ours, {"request": 7, "verb": "kill", "uuid": "u"}, {"pidfd": ours.fileno()})
        data, ancillary, _, _ = theirs.recvmsg(4096, 1024)
        for _level, _kind, rights in ancillary:
            os.close(int.from_bytes(rights[:4], "little"))
        return data.decode()


def answers() -> dict[str, Any]:
    """Return the names in what a keeper says about a guest that it was handed and that ends."""
    keeper = ForkedKeeper()
    found: dict[str, Any] = {}
    try:
        with subprocess.Popen(["sleep", "1000"]) as guest:
            pidfd = os.pidfd_open(guest.pid)
            keeper.ask(Verb.ADOPT, {"pidfd": pidfd}, uuid="u", pid=guest.pid, launch="a1")
            keeper.ask(Verb.ADOPT, {"pidfd": pidfd}, uuid="u", pid=guest.pid, id="x")
            os.close(pidfd)
            hello = keeper.ask(Verb.HELLO)
            found["hello"] = sorted(hello)
            found["guest"], found["execution"] = (sorted(hello[kind][0]) for kind in ("guests", "executions"))
            fetched = keeper.tell(Verb.FETCH, uuid="u")
            found["fetch"] = [sorted(fetched.body), sorted(fetched.fds)]
            fetched.close()
            found["kill"] = sorted(keeper.ask(Verb.KILL, uuid="u"))
            guest.wait()
        while len({each.kind for each in keeper.events}) < len(EventKind):
            assert select.select([keeper.link], [], [], patience(60))[0]
            keeper.link.dispatch()
        found["event"] = sorted({name for each in keeper.events for name in each.body})
        found["refusal"] = sorted(refusal(keeper))
        keeper.ask(Verb.FORGET, id="x")
        keeper.ask(Verb.FORGET, uuid="u")
    finally:
        keeper.end()
    return found


def refusal(keeper: ForkedKeeper) -> dict[str, Any]:
    number = keeper.link.ask(Verb.GO, {"uuid": "unknown"}, {})
    while number not in keeper.link._answers:
        keeper.link._receive(None)
    return dict(keeper.link._answers.pop(number).body["error"])


def test_the_encoding_is_the_recorded_one_of_its_version() -> None:
    assert RECORDED.exists(), "a new version is to be recorded: see above"
    assert description() == json.loads(RECORDED.read_text()), (
        "what keepers are told has changed: raise protocol.VERSION and record it, see above"
    )


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(description(), indent=1, ensure_ascii=False) + "\n")
