"""What a desktop's programs show, by the protocol that screen readers speak: AT-SPI over D-Bus.

Sources: at-spi2-core's xml/*.xml for the interfaces, atspi-constants.h for the numbers.
"""

import contextlib
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from jeepney import DBusAddress, MessageFlag, Properties, new_method_call
from jeepney.io.blocking import DBusConnection, open_dbus_connection
from jeepney.wrappers import DBusErrorResponse, unwrap_msg

from tests.waiting import patience, until

_INTERFACE: Final = "org.a11y.atspi."
_ROOT: Final = "/org/a11y/atspi/accessible/root"
_LABELLED_BY: Final = 2
_SCREEN: Final = 0
"""Coordinates of the screen's, not of the window's."""
_DEPTH, _WIDTH = 40, 300
"""Further down, and further to the right, there is nothing that a test looks for."""


class State(IntEnum):
    """The numbers of states that tests ask for."""

    ACTIVE = 1
    CHECKED = 4
    SELECTED = 23
    SENSITIVE = 24
    SHOWING = 25


class NotShownError(AssertionError):
    """Nothing on the screen is what a test looks for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """How a widget is told from others: its role, a pattern that its name or label has, and which of several it is."""

    role: str
    name: str = ""
    index: int = 0

    def __str__(self) -> str:
        return f"{self.role} '{self.name}'" + (f" ({self.index})" if self.index else "")


class Bus:
    """The accessibility bus of a desktop."""

    def __init__(self, path: Path) -> None:
        self._connection: DBusConnection = open_dbus_connection(f"unix:path={path}")

    def close(self) -> None:
        self._connection.close()

    def call(self, address: DBusAddress, method: str, signature: str = "", *body: object) -> tuple[Any, ...]:
        """Return what a method answers. Raises: DBusErrorResponse, TimeoutError."""
        message = new_method_call(address, method, signature or None, body)
        answer: tuple[Any, ...] = unwrap_msg(self._connection.send_and_get_reply(message, timeout=patience(20)))
        return answer

    def tell(self, address: DBusAddress, method: str, signature: str, *body: object) -> None:
        """Call a method whose answer may come late: a program that shows a dialog answers once the dialog is closed."""
        message = new_method_call(address, method, signature, body)
        message.header.flags |= MessageFlag.no_reply_expected
        self._connection.send(message)

    def value(self, address: DBusAddress, name: str) -> Any:
        answer = self._connection.send_and_get_reply(Properties(address).get(name), timeout=patience(20))
        return unwrap_msg(answer)[0][1]

    def put(self, address: DBusAddress, name: str, signature: str, value: object) -> None:
        unwrap_msg(
            self._connection.send_and_get_reply(Properties(address).set(name, signature, value), timeout=patience(20))
        )

    @property
    def desktop(self) -> "Widget":
        """What holds all programs."""
        return Widget(bus=self, owner="org.a11y.atspi.Registry", path=_ROOT)


@dataclass(frozen=True, kw_only=True, slots=True)
class Widget:
    """A window, or a part of it, as its program describes it."""

    bus: Bus = field(repr=False, compare=False)
    owner: str
    path: str

    def _as(self, interface: str) -> DBusAddress:
        return DBusAddress(self.path, bus_name=self.owner, interface=_INTERFACE + interface)

    def children(self) -> list["Widget"]:
        found = self.bus.call(self._as("Accessible"), "GetChildren")[0]
        return [Widget(bus=self.bus, owner=owner, path=path) for owner, path in found[:_WIDTH]]

    @property
    def role(self) -> str:
        """What it is, in the words of at-spi2-core 2.52 and later, where a push button is called a button."""
        role: str = self.bus.call(self._as("Accessible"), "GetRoleName")[0]
        return role.removeprefix("push ")

    @property
    def name(self) -> str:
        name: str = self.bus.value(self._as("Accessible"), "Name")
        return name

    @property
    def labels(self) -> list[str]:
        """The names of the labels that stand beside it."""
        relations = self.bus.call(self._as("Accessible"), "GetRelationSet")[0]
        return [
            Widget(bus=self.bus, owner=owner, path=path).name
            for kind, targets in relations
            if kind == _LABELLED_BY
            for owner, path in targets
        ]

    def has(self, state: State) -> bool:
        words = self.bus.call(self._as("Accessible"), "GetState")[0]
        return bool(words[state // 32] >> state % 32 & 1)

    @property
    def text(self) -> str:
        """What is written in it; of what has no text, its name."""
        if _INTERFACE + "Text" not in self.bus.call(self._as("Accessible"), "GetInterfaces")[0]:
            return self.name
        count = self.bus.value(self._as("Text"), "CharacterCount")
        text: str = self.bus.call(self._as("Text"), "GetText", "ii", 0, count)[0]
        return text

    @property
    def middle(self) -> tuple[int, int]:
        """Where a mouse points to it, in pixels of the screen."""
        x, y, width, height = self.bus.call(self._as("Component"), "GetExtents", "u", _SCREEN)[0]
        return x + width // 2, y + height // 2

    def act(self) -> None:
        """Do with it what its first action is: press, open, toggle."""
        until(lambda: self.has(State.SENSITIVE), f"{self.role} '{self.name}' being sensitive", 20)
        self.act_now()

    def act_now(self) -> None:
        """The same, whether it can be done or not."""
        self.bus.tell(self._as("Action"), "DoAction", "i", 0)

    def write(self, text: str) -> None:
        """Replace what is written in it."""
        assert self.bus.call(self._as("EditableText"), "SetTextContents", "s", text)[0], f"'{self.name}' takes no text"

    def set(self, value: float) -> None:
        """Turn it to a value."""
        self.bus.put(self._as("Value"), "CurrentValue", "d", value)

    def select(self, index: int) -> None:
        """Select the child with that index."""
        self.bus.call(self._as("Selection"), "SelectChild", "i", index)

    def focus(self) -> None:
        self.bus.call(self._as("Component"), "GrabFocus")

    @property
    def is_shown(self) -> bool:
        with contextlib.suppress(DBusErrorResponse):
            return self.has(State.SHOWING)
        return False

    def is_like(self, part: Part) -> bool:
        if self.role != part.role:
            return False
        return not part.name or any(re.search(part.name, name) for name in (self.name, *self.labels))

    def below(self, *, hidden: bool = False, depth: int = 0) -> Iterator[tuple[int, "Widget"]]:
        """Each widget below this, with its depth; of what is not shown neither it nor what is below it."""
        with contextlib.suppress(DBusErrorResponse):  # it is gone meanwhile
            for child in self.children():
                with contextlib.suppress(DBusErrorResponse):
                    if hidden or child.role == "application" or child.has(State.SHOWING):
                        yield depth, child
                        if depth < _DEPTH:
                            yield from child.below(hidden=hidden, depth=depth + 1)

    def every(self, part: Part) -> list["Widget"]:
        """All that are like the part, as they stand now."""
        return [widget for _, widget in self.below() if _like(widget, part)]

    def now(self, *parts: Part) -> "Widget":
        """The widget that the last part describes, within what the former ones describe. Raises: NotShownError."""
        found = self
        for part in parts:
            like = (widget for _, widget in found.below() if _like(widget, part))
            for _ in range(part.index):
                next(like, None)
            match = next(like, None)
            if match is None:
                raise NotShownError(f"there is no {part} in {' > '.join(map(str, parts))}")
            found = match
        return found

    def find(self, *parts: Part, seconds: float = 20) -> "Widget":
        """As `now`, once it is there. Raises: NotShownError, with all that is shown instead."""
        deadline = time.monotonic() + patience(seconds)
        while True:
            try:
                return self.now(*parts)
            except NotShownError as error:
                if time.monotonic() > deadline:
                    raise NotShownError(f"{error}; shown is\n{self.described()}") from None
            time.sleep(0.1)

    def described(self, *, hidden: bool = False) -> str:
        """All that is shown, a line a widget."""
        lines = []
        for depth, widget in self.below(hidden=hidden):
            with contextlib.suppress(DBusErrorResponse):
                lines.append("  " * depth + _line(widget))
        return "\n".join(lines)


def _like(widget: Widget, part: Part) -> bool:
    with contextlib.suppress(DBusErrorResponse):
        return widget.is_like(part)
    return False


def _line(widget: Widget) -> str:
    words = [widget.role, repr(widget.name)]
    if labels := [label for label in widget.labels if label != widget.name]:
        words.append(f"labelled {labels}")
    if (text := widget.text) != widget.name:
        words.append(f"text {text!r}")
    words += [state.name.lower() for state in (State.CHECKED, State.SELECTED) if widget.has(state)]
    if not widget.has(State.SENSITIVE):
        words.append("insensitive")
    return " ".join(words)
