"""The consoles of running domains, found by the names clients have for them."""

from pathlib import Path

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel, Viewing
from insula.errors import DeviceMissingError, InvalidArgumentError, OperationFailedError
from insula.kernel.pty import WINDOW_MAX
from insula.service.managed import ManagedDomain
from insula.service.runs import Runs


class ConsoleVerbs:
    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def open(
        self,
        managed: ManagedDomain,
        device: str | None,
        *,
        viewing: Viewing = Viewing.INTERACTIVE,
        force: bool = False,
    ) -> ConsoleChannel:
        """Return a viewer's end. device: its alias or terminal, None for the first.

        Raises: OperationInvalidError if it does not run; see place_of, ConsoleHub.attach."""
        return self._hub(managed, device).attach(viewing, force=force)

    def resize(self, managed: ManagedDomain, device: str | None, rows: int, columns: int) -> None:
        """Tell the guest how large the viewer's window is. Raises: InvalidArgumentError for what no terminal can be."""
        if not (0 <= rows <= WINDOW_MAX and 0 <= columns <= WINDOW_MAX):
            raise InvalidArgumentError(
                f"a console has at most {WINDOW_MAX} rows and columns, not {rows} rows and {columns} columns"
            )
        self._hub(managed, device).resize(rows, columns)

    def _hub(self, managed: ManagedDomain, device: str | None) -> ConsoleHub:
        run = managed.require_run()
        place = place_of(managed, device)
        if place < len(run.consoles):
            return run.consoles[place]
        raise OperationFailedError(
            f"the consoles of domain '{managed.name}' were lost when insulad and its keeper were killed together; "
            "it has new ones after its next start"
        )

    def follow(self, managed: ManagedDomain, device: str | None) -> ConsoleChannel:
        """Return an end that gets what is printed from now on. Raises: as `open`."""
        return self._hub(managed, device).attach(Viewing.WATCHING, replay=False)

    def log(self, managed: ManagedDomain, device: str | None) -> Path:
        """Return the file that a console's output is written to, also of a domain that is off."""
        return self._runs.console_log(managed.name, place_of(managed, device))


def place_of(managed: ManagedDomain, device: str | None) -> int:
    """Return which console is meant: the first, or by alias, terminal on the host, `consoleN`, `serialN`, or port.

    Raises: DeviceMissingError if the domain has no such console.
    """
    if not device:
        return 0
    for place, each in enumerate(managed.current.devices.consoles):
        names = (
            each.alias,
            f"console{place}",
            f"serial{place}",
            str(place),
            str(each.tty) if each.tty is not None else None,
        )
        if device in names:
            return place
    raise DeviceMissingError(f"cannot find console device '{device}' of domain '{managed.name}'")
