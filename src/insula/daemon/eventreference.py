"""The reference of events: every id that libvirt's clients register for, when it is sent here or why it never is.

`scripts/build-reference` writes the page; a test says when it is not what the tables say.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from insula.daemon.subscriptions import DOMAIN, ROWS
from insula.model.domainstates import TRANSITIONS, DefinedDetail, LifecycleDetail, LifecycleKind, UndefinedDetail
from insula.rpc.codes.eventcodes import DomainEventId

PAGE: Final = Path("docs/reference/events.md")

SENT: Final[Mapping[DomainEventId, str]] = {
    DomainEventId.LIFECYCLE: "a domain is defined, undefined, starts, ends, is suspended or resumed; details below",
    DomainEventId.REBOOT: "the guest rebooted, by itself or because it was asked to: no end and no start is told",
    DomainEventId.WATCHDOG: "the guest is unhealthy, as its `insula:healthcheck` tries it; what follows is its action",
    DomainEventId.BALLOON_CHANGE: "what it may use was changed, in KiB; once a second while memory is taken from it",
    DomainEventId.DEVICE_REMOVED: "a device was taken from a guest that runs, by its alias",
    DomainEventId.TUNABLE: "limits of a guest that runs were changed: `cputune.*` and the like, with new values",
    DomainEventId.DEVICE_ADDED: "a device was given to a guest that runs, by its alias",
    DomainEventId.JOB_COMPLETED: "a job ended, well or not: what `domjobinfo --completed` tells",
    DomainEventId.DEVICE_REMOVAL_FAILED: "a device could not be taken away: programs of the guest have it in use",
    DomainEventId.METADATA_CHANGE: "title, description, or the element of a namespace was changed",
    DomainEventId.MEMORY_FAILURE: "programs were killed for want of memory; `fatal` if the guest crashed for it",
    DomainEventId.VCPU_REMOVED: "a virtual processor of a guest that runs is in use no more; for libvirt 12",
}
NEVER: Final[Mapping[DomainEventId, str]] = {
    DomainEventId.RTC_CHANGE: "a container has no clock chip: it has the host's time",
    DomainEventId.IO_ERROR: "the program that meets an error of a disk is told it; no guest is paused for it",
    DomainEventId.GRAPHICS: "a container has no screen",
    DomainEventId.IO_ERROR_REASON: "as `io-error`",
    DomainEventId.CONTROL_ERROR: "no guest is out of control for long: a keeper that dies is replaced",
    DomainEventId.BLOCK_JOB: "no image is copied or committed beneath a guest",
    DomainEventId.DISK_CHANGE: "there are no removable media",
    DomainEventId.TRAY_CHANGE: "there are no removable media",
    DomainEventId.PMWAKEUP: "a container does not sleep: `dompmsuspend` is refused",
    DomainEventId.PMSUSPEND: "a container does not sleep",
    DomainEventId.PMSUSPEND_DISK: "a container does not sleep",
    DomainEventId.BLOCK_JOB_2: "as `block-job`",
    DomainEventId.AGENT_LIFECYCLE: "no agent is needed, and none is talked to",
    DomainEventId.MIGRATION_ITERATION: "nothing is migrated yet",
    DomainEventId.BLOCK_THRESHOLD: "images are raw: how far one is written to has no meaning",
    DomainEventId.MEMORY_DEVICE_SIZE_CHANGE: "no memory is plugged in slots",
    DomainEventId.NIC_MAC_CHANGE: "nobody watches which address a guest gives its card",
    DomainEventId.CHANNEL_LIFECYCLE: "nobody is told when a guest opens a terminal; `dumpxml` asks",
}
OLD_STYLE: Final = frozenset(row.id for row in ROWS.values() if row.noun == DOMAIN and row.without_id is not None)
"""Those that are sent in the old style too."""

BEGIN, END = "<!-- made by scripts/build-reference -->", "<!-- end of what is made -->"


def with_tables(text: str) -> str:
    """Return the page with the tables as they are to be; what is written by hand around them stays."""
    before, _, rest = text.partition(BEGIN)
    return f"{before}{tables()}{rest.partition(END)[2]}"


def tables() -> str:
    """All events of domains, and what lifecycle events say, in markdown."""
    events = ["| id | event | | when, or why never |", "|---|---|---|---|", *map(_row, DomainEventId)]
    details = [f"| {kind.name.lower()} | {', '.join(each)} |" for kind, each in _lifecycle()]
    return "\n".join([BEGIN, "", *events, "", "| lifecycle event | details |", "|---|---|", *details, "", END])


def _row(event: DomainEventId) -> str:
    sent = event in SENT
    how = ("sent, old" if event in OLD_STYLE else "sent") if sent else "never"
    name = event.name.lower().replace("_", "-")
    return f"| {int(event)} | `{name}` | {how} | {SENT[event] if sent else NEVER[event]} |"


def _lifecycle() -> Iterator[tuple[LifecycleKind, list[str]]]:
    """What is told of each kind: by changes of definitions, and by every transition of a state."""
    told: dict[LifecycleKind, set[LifecycleDetail]] = {
        LifecycleKind.DEFINED: {DefinedDetail.ADDED, DefinedDetail.UPDATED},
        LifecycleKind.UNDEFINED: {UndefinedDetail.REMOVED},
    }
    for transition in TRANSITIONS.values():
        for kind, detail in transition.told:
            told.setdefault(kind, set()).add(detail)
    for kind in sorted(told):
        yield kind, [each.name.lower() for each in sorted(told[kind])]


def main() -> None:
    """Write its tables below the checkout that the first argument names."""
    parser = argparse.ArgumentParser(description="Write the reference of events.")
    parser.add_argument("checkout", type=Path)
    place = parser.parse_args(sys.argv[1:]).checkout / PAGE
    text = place.read_text(encoding="utf-8")
    if with_tables(text) != text:
        place.write_text(with_tables(text), encoding="utf-8")
        sys.stdout.write(f"{PAGE}\n")


if __name__ == "__main__":
    main()
