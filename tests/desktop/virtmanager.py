"""virt-manager on a desktop, in the words of who sits before it: menus, buttons, pages, rows, questions."""

import contextlib
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from jeepney.wrappers import DBusErrorResponse

from tests.desktop.accessibility import NotShownError, Part, State, Widget
from tests.desktop.desktop import Desktop
from tests.waiting import until

MANAGER = Part(role="frame", name="^Virtual Machine Manager$")
CONNECTION = Part(role="frame", name="Connection Details$")
NEW_NETWORK = Part(role="frame", name="^Create a new virtual network$")
NEW_DOMAIN = Part(role="frame", name="^New VM$")
NEW_HARDWARE = Part(role="frame", name="^Add New Virtual Hardware$")
PREFERENCES = Part(role="frame", name="^Preferences$")
DELETION = Part(role="frame", name="^Delete")
ALERT = Part(role="alert")

_CLIENT_LOG = "/root/libvirt.log"


class VirtManager:
    """A running virt-manager, connected to the daemon that the desktop's `/run/libvirt` is of."""

    def __init__(self, desktop: Desktop, log: Path) -> None:
        """log: where it writes what it does, with its tracebacks."""
        self.desktop = desktop
        self._log = log
        arguments = ("--debug", "--no-fork", "--connect", "lxc:///")
        desktop.start(
            "virt-manager", *arguments, log=log, LIBVIRT_LOG_OUTPUTS=f"3:file:{_CLIENT_LOG}", NO_AT_BRIDGE="0"
        )
        self.find(MANAGER, seconds=60)
        self._prefer_everything()

    def _prefer_everything(self) -> None:
        """Switch on what is off at first: XML may be edited, and every figure is asked for."""
        self.menu(MANAGER, "Edit", "Preferences")
        self.find(PREFERENCES, Part(role="check box", name="XML editing")).act()
        self.tab(PREFERENCES, "Polling")
        for figure in ("Memory", "Network", "Disk"):
            self.find(PREFERENCES, Part(role="check box", name=f"Poll {figure}")).act()
        self.press(PREFERENCES, "Close")
        self.gone(PREFERENCES)

    def find(self, *parts: Part, seconds: float = 20) -> Widget:
        return self.desktop.all.find(*parts, seconds=seconds)

    def shows(self, *parts: Part) -> bool:
        """Whether it is on the screen now."""
        with contextlib.suppress(NotShownError):
            return bool(self.desktop.all.now(*parts))
        return False

    def gone(self, *parts: Part) -> None:
        """Wait until it is not on the screen any more."""
        until(lambda: not self.shows(*parts), f"no {parts[-1]} being shown", 20)

    def press(self, window: Part, button: str, *, role: str = "button") -> None:
        """Press a button, once it can be. Not for those that ask a question: see `click`."""
        self.find(window, Part(role=role, name=button)).act()

    def click(self, window: Part, button: str, *, role: str = "button") -> None:
        """Press a button with the mouse. Behind the question that it asks, a program answers nothing but the mouse."""
        widget = self.find(window, Part(role=role, name=button))
        until(lambda: widget.has(State.SENSITIVE), f"'{button}' being sensitive", 20)
        self._raise(window)
        self.desktop.click(widget)

    def answer(self, button: str) -> str:
        """Answer the question, or close the message, that is shown; return its text."""
        alert = self.find(ALERT)
        text = " ".join(label.text.replace("\n", " ") for label in alert.every(Part(role="label")))
        self.desktop.click(alert.find(Part(role="button", name=button)))
        until(lambda: not alert.is_shown, f"the end of '{text}'", 20)
        return text

    def menu(self, window: Part, *path: str) -> None:
        """Choose from a window's menus: the menus' names, then the item's."""
        for name in path[:-1]:
            self.find(window, Part(role="menu", name=f"^{name}$")).act()
        self.find(window, Part(role="menu item", name=f"^{re.escape(path[-1])}$")).act()

    def ask_menu(self, window: Part, *path: str) -> None:
        """As `menu`, for items that ask a question."""
        for name in path[:-1]:
            self.find(window, Part(role="menu", name=f"^{name}$")).act()
        item = self.find(window, Part(role="menu item", name=f"^{re.escape(path[-1])}$"))
        self.desktop.click(item)

    def choose(self, window: Part, box: str, item: str) -> None:
        """Choose an item of a combo box."""
        combo = Part(role="combo box", name=f"^{box}$")
        self.find(window, combo).act()
        self.find(window, combo, Part(role="menu item", name=item)).act()
        self.gone(window, combo, Part(role="menu item"))

    def tab(self, window: Part, name: str) -> None:
        """Turn to a page of a notebook."""

        def turned() -> bool:
            for pages in self.find(window).every(Part(role="page tab list")):
                with contextlib.suppress(DBusErrorResponse):
                    for index, page in enumerate(pages.children()):
                        if page.name == name:
                            pages.select(index)
                            return page.has(State.SELECTED)
            return False

        until(turned, f"page '{name}'", 20)

    def row(self, window: Part, table: Part, name: str) -> None:
        """Select the row of a list that bears a name."""
        cell = self.find(window, table, Part(role="table cell", name=name))
        self._raise(window)
        self.desktop.click(cell)
        until(lambda: cell.has(State.SELECTED), f"row '{name}' being selected", 20)

    def rows(self, window: Part, table: Part) -> Sequence[str]:
        """The names in a list, from above to below."""
        return [cell.name for cell in self.find(window, table).every(Part(role="table cell")) if cell.name]

    def write(self, window: Part, field: str, text: str) -> None:
        """Replace what a field of a form says."""
        self.find(window, Part(role="text", name=field)).write(text)

    def apply(self, window: Part, change: Callable[[], None], done: Callable[[], bool], what: str) -> None:
        """Change a page of a domain and apply that, again where it was forgotten: as often as virt-manager reads the
        domain anew, for an event, it puts back what a page has that was not applied."""
        button = self.find(window, Part(role="button", name="config-apply"))

        def applied() -> bool:
            if not done():
                change()
                if button.has(State.SENSITIVE):
                    button.act_now()
            return done()

        until(applied, what, 20)

    def close_window(self, window: Part) -> None:
        """Close a window as its title bar would."""
        self._raise(window)
        self.desktop.key("alt+F4")
        self.gone(window)

    def _raise(self, window: Part) -> None:
        title = self.find(window).name
        if title:
            self.desktop.run(
                "xdotool", "search", "--onlyvisible", "--name", title, "windowactivate", "--sync", check=False
            )

    def complaints(self) -> list[str]:
        """What its log has of exceptions and error messages: the last line of each."""
        text = self._log.read_text(errors="replace")
        raised = re.findall(r"^Traceback .*\n(?:[ ].*\n)+(\S.*)$", text, re.MULTILINE)
        told = re.findall(r"error dialog message:\s*\nsummary=(.*)", text)
        return [*raised, *told]

    def refusals(self) -> list[str]:
        """What the daemon has answered to its calls instead of doing them: libvirt's own log of errors."""
        lines = self.desktop.path(_CLIENT_LOG).read_text(errors="replace").splitlines()
        return [line.split("DispatchError:", 1)[1].split(" : ", 1)[1] for line in lines if "DispatchError:" in line]
