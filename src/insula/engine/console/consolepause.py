"""A console between two runs of a guest that reboots: its viewers wait, and see one guest."""

from insula.engine.console.console import ConsoleHub
from insula.engine.console.consolechannel import ConsoleChannel
from insula.engine.console.consolelog import ConsoleLog


class ConsolePause:
    """Has a console's viewers until the next run's console takes them. What they type meanwhile nobody reads, as at a
    machine whose kernel has not started yet."""

    def __init__(self, console: ConsoleHub) -> None:
        self._window = console.window
        self._viewers = dict.fromkeys(console.part())
        for viewer in self._viewers:
            viewer.move(self)

    def go_on(self, console: ConsoleHub) -> None:
        """Give the viewers to a console that has just begun."""
        for viewer in self._viewers:
            console.welcome(viewer)
        if self._viewers and self._window is not None:
            console.resize(*self._window)
        self._viewers.clear()

    def end(self) -> None:
        """Nothing follows: let the viewers see the end."""
        for viewer in self._viewers:
            viewer.end()
        self._viewers.clear()

    # As ConsoleEnd

    async def type(self, data: bytes) -> None:
        """Nobody reads it."""

    def resize(self, rows: int, columns: int) -> None:
        self._window = rows, columns

    def taken(self, channel: ConsoleChannel) -> None:
        """Nobody is held meanwhile."""

    def left(self, channel: ConsoleChannel) -> None:
        self._viewers.pop(channel, None)

    @property
    def log(self) -> ConsoleLog | None:
        return None
