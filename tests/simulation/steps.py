"""What may happen in a walk: one table, from which a seed chooses, or hypothesis, or the real kernel's sample."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial

from insula.engine.console.consolechannel import Viewing
from tests.simulation import model
from tests.simulation.disk import Disk
from tests.simulation.model import DEVICES, MEMORY, SHARES, End, Operation, Where
from tests.simulation.statuses import CRASHED, EXITED, KILLED, POWERED_OFF, REBOOTED
from tests.simulation.walk import DESTROY, RESET, UNDEFINE, UUIDS
from tests.simulation.walking import Networking, Walking

NETWORK_OF = {"web": "lan", "mail": "dmz"}

Take = Callable[[Walking, str], None]


class Kind(Enum):
    """Who does it."""

    VERB = "a client"
    GUEST = "a guest"
    TIME = "time"
    DISASTER = "a disaster"


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """weight: how often it comes, beside the others; take: does it, to a domain of that name."""

    kind: Kind
    name: str
    weight: int
    take: Take


def define(walk: Walking, name: str) -> None:
    definition = walk.document()
    operation = Operation(name=f"define {definition.title}", effect=model.define(definition))
    walk.verb(name, operation, lambda daemon: daemon.define(UUIDS[name], name, definition))


def undefine(walk: Walking, name: str, *, discard: bool) -> None:
    walk.storage_stays |= not discard
    walk.verb(name, UNDEFINE, lambda daemon: daemon.undefine(UUIDS[name], discard=discard))


def autostart(walk: Walking, name: str, *, on: bool) -> None:
    operation = Operation(name=f"autostart {'on' if on else 'off'}", effect=model.autostart(on))
    walk.verb(name, operation, lambda daemon: daemon.set_autostart(UUIDS[name], on))


def start(walk: Walking, name: str, *, paused: bool = False, bound: bool = False) -> None:
    operation = Operation(
        name=f"start{' paused' if paused else ''}{' bound' if bound else ''}",
        effect=model.start(paused=paused, bound=bound),
        meanwhile=model.start_again(paused=paused, bound=bound),
        refuses=model.may_lack_its_network,
        halves=(model.start_failed,),
    )
    walk.verb(name, operation, lambda daemon: daemon.start(UUIDS[name], paused=paused, bound=bound))


def create(walk: Walking, name: str, *, paused: bool = False, bound: bool = False) -> None:
    definition = walk.document()
    operation = Operation(
        name=f"create {definition.title}{' paused' if paused else ''}{' bound' if bound else ''}",
        effect=model.create(definition, paused=paused, bound=bound),
        refuses=lambda state: definition.card != "",
        halves=(model.start_failed,),
    )
    walk.verb(name, operation, lambda daemon: daemon.create(UUIDS[name], name, definition, paused=paused, bound=bound))


def destroy(walk: Walking, name: str) -> None:
    walk.verb(name, DESTROY, lambda daemon: daemon.destroy(UUIDS[name]))


def reset(walk: Walking, name: str) -> None:
    walk.verb(name, RESET, lambda daemon: daemon.reset(UUIDS[name]))


def suspend(walk: Walking, name: str) -> None:
    walk.verb(name, Operation(name="suspend", effect=model.suspend), lambda daemon: daemon.suspend(UUIDS[name]))


def resume(walk: Walking, name: str) -> None:
    # What is given up because of a destroy may have been done, should the daemon die before that.
    operation = Operation(name="resume", effect=model.resume, halves=(model.over, model.resume))
    walk.verb(name, operation, lambda daemon: daemon.resume(UUIDS[name]))


def shutdown(walk: Walking, name: str) -> None:
    walk.asked.add((UUIDS[name], End.SHUTDOWN))
    walk.verb(name, Operation(name="shutdown", effect=model.asked), lambda daemon: daemon.shutdown(UUIDS[name]))


def reboot(walk: Walking, name: str) -> None:
    walk.asked.add((UUIDS[name], End.REBOOTED))
    walk.verb(name, Operation(name="reboot", effect=model.asked), lambda daemon: daemon.reboot(UUIDS[name]))


def execute(walk: Walking, name: str) -> None:
    walk.execute(name, Operation(name="exec", effect=model.entered, others=(model.asked,)))


def limit_memory(walk: Walking, name: str) -> None:
    where, memory = walk.choice(tuple(Where)), walk.choice(MEMORY)
    operation = _tuning(f"set memory {memory}", where, partial(model.tune, memory=memory))
    walk.verb(name, operation, lambda daemon: daemon.tune(UUIDS[name], where, memory=memory))


def share_processors(walk: Walking, name: str) -> None:
    where, shares = walk.choice(tuple(Where)), walk.choice(SHARES)
    operation = _tuning(f"set shares {shares}", where, partial(model.tune, shares=shares))
    walk.verb(name, operation, lambda daemon: daemon.tune(UUIDS[name], where, shares=shares))


def _tuning(what: str, where: Where, tune: Callable[[Where], model.Effect]) -> Operation:
    """What changes both changes the guest first."""
    halves = (tune(Where.LIVE),) if where is Where.BOTH else ()
    return Operation(name=f"{what} {where.name}", effect=tune(where), halves=halves)


def equip(walk: Walking, name: str, *, there: bool) -> None:
    where, device = walk.choice(tuple(Where)), walk.choice(DEVICES)
    operation = Operation(
        name=f"{'attach' if there else 'detach'} {device} {where.name}",
        effect=model.equip(where, device, there=there),
        refuses=model.may_refuse_devices(device, there=there),
        halves=(model.equip(Where.LIVE, device, there=there),) if where is Where.BOTH else (),
    )
    walk.verb(name, operation, lambda daemon: daemon.equip(UUIDS[name], where, device, there=there))


def end(walk: Walking, name: str, *, status: int) -> None:
    walk.end_guest(name, status)


def on_network(act: Callable[[Networking, str], None]) -> Take:
    """Return what does something to the network that goes with a domain's name."""
    return lambda walk, name: act(walk.networks, NETWORK_OF[name])


def update_network(walk: Walking, name: str, *, host: bool) -> None:
    walk.networks.update(NETWORK_OF[name], walk.choice(tuple(Where)), host=host)


def disk(walk: Walking, name: str, *, state: Disk) -> None:
    walk.set_disk(state)


def _rows(kind: Kind, *rows: tuple[str, int, Take]) -> tuple[Step, ...]:
    return tuple(Step(kind=kind, name=name, weight=weight, take=take) for name, weight, take in rows)


STEPS = (
    *_rows(
        Kind.VERB,
        ("define", 8, define),
        ("undefine", 4, partial(undefine, discard=False)),
        ("undefine with storage", 2, partial(undefine, discard=True)),
        ("autostart", 3, partial(autostart, on=True)),
        ("no autostart", 1, partial(autostart, on=False)),
        ("start", 10, start),
        ("start paused", 3, partial(start, paused=True)),
        ("start bound", 2, partial(start, bound=True)),
        ("create", 5, create),
        ("create paused", 2, partial(create, paused=True)),
        ("create bound", 2, partial(create, bound=True)),
        ("client hangs up", 3, lambda walk, name: walk.hang_up(name)),
        ("destroy", 7, destroy),
        ("suspend", 4, suspend),
        ("resume", 4, resume),
        ("shutdown", 2, shutdown),
        ("reboot", 2, reboot),
        ("reset", 3, reset),
        ("exec", 9, execute),
        ("memory", 5, limit_memory),
        ("shares", 3, share_processors),
        ("console", 3, lambda walk, name: walk.consoles.open(UUIDS[name], Viewing.WATCHING)),
        ("console to type at", 3, lambda walk, name: walk.consoles.open(UUIDS[name], Viewing.INTERACTIVE)),
        ("console by force", 1, lambda walk, name: walk.consoles.open(UUIDS[name], Viewing.INTERACTIVE, force=True)),
        ("type", 2, lambda walk, name: walk.consoles.type(UUIDS[name])),
        ("viewers leave", 2, lambda walk, name: walk.consoles.leave(UUIDS[name])),
        ("attach", 4, partial(equip, there=True)),
        ("detach", 3, partial(equip, there=False)),
        ("net-define", 3, on_network(lambda networks, name: networks.define(name))),
        ("net-create", 3, on_network(lambda networks, name: networks.create(name))),
        ("net-start", 4, on_network(lambda networks, name: networks.start(name))),
        ("net-destroy", 3, on_network(lambda networks, name: networks.destroy(name))),
        ("net-undefine", 2, on_network(lambda networks, name: networks.undefine(name))),
        ("net-autostart", 2, on_network(lambda networks, name: networks.autostart(name, on=True))),
        ("net-update add", 3, partial(update_network, host=True)),
        ("net-update delete", 2, partial(update_network, host=False)),
    ),
    *_rows(
        Kind.GUEST,
        ("guest powers off", 2, partial(end, status=POWERED_OFF)),
        ("guest returns", 2, partial(end, status=EXITED)),
        ("guest crashes", 2, partial(end, status=CRASHED)),
        ("guest reboots", 4, partial(end, status=REBOOTED)),
        ("guest is killed", 1, partial(end, status=KILLED)),
        ("program returns", 2, lambda walk, name: walk.end_program(name, EXITED)),
        ("program crashes", 1, lambda walk, name: walk.end_program(name, CRASHED)),
        ("program is killed", 1, lambda walk, name: walk.end_program(name, KILLED)),
        ("guest prints", 5, lambda walk, name: walk.consoles.print(UUIDS[name])),
        ("guest holds the freezer", 2, lambda walk, name: walk.hold_freezer(name)),
    ),
    *_rows(
        Kind.TIME,
        ("a moment", 8, lambda walk, name: walk.run(seconds=0.02)),
        ("a while", 8, lambda walk, name: walk.pause()),
        ("daemon starts", 6, lambda walk, name: walk.begin_daemon()),
        ("daemon ends", 2, lambda walk, name: walk.stop_daemon()),
        ("disk is sound", 3, partial(disk, state=Disk.SOUND)),
        ("all is well", 3, lambda walk, name: walk.rest()),
    ),
    *_rows(
        Kind.DISASTER,
        ("host reboots", 2, lambda walk, name: walk.reboot_host()),
        ("daemon is killed", 2, lambda walk, name: walk.kill_daemon()),
        ("daemon is killed soon", 5, lambda walk, name: walk.kill_daemon_later()),
        ("keeper is killed", 3, lambda walk, name: walk.kill_keeper()),
        ("keeper is stopped", 1, lambda walk, name: walk.stop_keeper()),
        ("disk is full", 1, partial(disk, state=Disk.FULL)),
        ("disk is broken", 1, partial(disk, state=Disk.BROKEN)),
        ("disk is read-only", 1, partial(disk, state=Disk.READ_ONLY)),
        ("no descriptors", 1, partial(disk, state=Disk.STARVED)),
        ("operations fail", 3, lambda walk, name: walk.fail_soon()),
        ("dnsmasq is killed", 2, on_network(lambda networks, name: networks.kill_server(name))),
        ("a bridge is deleted", 2, on_network(lambda networks, name: networks.delete_bridge(name))),
        ("the own bridge is deleted", 2, lambda walk, name: walk.networks.delete_own_bridge()),
        ("the own bridge comes", 2, lambda walk, name: walk.networks.add_own_bridge()),
        ("the kernel refuses", 2, lambda walk, name: walk.refuse_soon()),
        ("a keeper refuses", 1, lambda walk, name: walk.refuse_soon("adopt")),
    ),
)
BY_NAME = {each.name: each for each in STEPS}
_WEIGHTS = [each.weight for each in STEPS]
_OPENINGS = (
    ("define",),
    ("define", "start"),
    ("define", "autostart", "start"),
    ("create",),
    ("create", "exec"),
    ("create", "exec", "keeper is killed", "program crashes"),
    ("create", "exec", "a keeper refuses", "keeper is killed", "keeper is killed", "program returns"),
    ("create", "exec", "daemon ends", "program returns", "daemon starts"),
    ("create", "console", "guest prints", "console to type at", "type", "guest prints"),
    ("create", "guest prints", "console", "daemon is killed soon", "guest prints", "daemon starts"),
    ("create", "console", "guest prints", "keeper is killed", "guest prints", "viewers leave", "daemon ends"),
    ("define", "start", "attach", "attach", "detach", "detach"),
    ("define", "start", "attach", "daemon is killed soon", "attach", "daemon starts"),
    ("define", "start", "daemon is killed soon", "memory", "daemon starts"),
    ("define", "start paused"),
    ("net-create", "define", "start"),
    ("net-create", "create", "create"),
    ("net-define", "net-autostart", "net-start", "net-update add"),
    ("net-create", "create", "a bridge is deleted"),
    ("net-create", "define", "start", "daemon is killed soon", "net-destroy", "daemon starts"),
    ("create", "the own bridge is deleted", "daemon is killed soon", "the own bridge comes"),
    ("create", "the own bridge is deleted", "a while", "the own bridge comes", "a while"),
    ("net-define", "net-start", "daemon is killed soon", "net-update add", "daemon starts"),
    ("define", "autostart", "daemon ends", "operations fail", "daemon starts"),
    (),
)
"""How walks begin: most of what may happen needs a guest."""


def choose(chance: random.Random) -> tuple[Step, str, int]:
    """Return a step, a domain, and how many callbacks happen before the next."""
    step = chance.choices(STEPS, _WEIGHTS)[0]
    name = "web" if chance.random() < 0.8 else "mail"
    return step, name, chance.choice((0, 0, 1, 3, 10, 30, 100))


def opening(chance: random.Random) -> tuple[Step, ...]:
    """Choose what happens first, to the first domain."""
    return tuple(BY_NAME[name] for name in chance.choice(_OPENINGS))
