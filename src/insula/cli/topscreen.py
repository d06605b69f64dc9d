"""The picture of `insula top`: guests in an order, what each takes, and how that went; which keys change it.

It knows no terminal: rows and keys come in, lines of text go out.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import StringIO
from typing import Any, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from insula.cli.neutral import neutral
from insula.cli.render import size

Row = Mapping[str, Any]

_HISTORY = 60
"""Pictures that are remembered of a guest."""
_PLOT = 20
"""Characters of a plot, and the narrowest screen that has room for it."""
_PLOT_FROM = 110
_BARS, _PLAIN_BARS = "▁▂▃▄▅▆▇█", ".:-=+*#@"
_AROUND = 3
"""Lines that are no guests: totals, headings, keys."""
DELAYS: Final = (0.1, 60.0)
"""Seconds between pictures, at least and at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TopOrder:
    """What guests are put in order by. value: None where nobody counts it; shown: of that, for people."""

    words: str
    value: Callable[[Row], float | None]
    shown: Callable[[float], str]


def _of_both(first: str, second: str) -> Callable[[Row], float]:
    return lambda row: float(row[first] + row[second])


def _pressure(row: Row) -> float | None:
    """The worst of all."""
    return max((each for each in map(row.__getitem__, PRESSURES) if each is not None), default=None)


def _speed(value: float) -> str:
    return f"{size(int(value))}/s"


PRESSURES: Final = ("cpu_pressure", "memory_pressure", "io_pressure")
ORDERS: Final[Mapping[str, TopOrder]] = {
    "c": TopOrder(words="cpu", value=lambda row: row["cpu"], shown=lambda value: f"{value:.1f} %"),
    "m": TopOrder(words="memory", value=lambda row: row["memory"], shown=lambda value: size(int(value))),
    "i": TopOrder(words="io", value=_of_both("read_rate", "written_rate"), shown=_speed),
    "n": TopOrder(words="net", value=_of_both("received_rate", "sent_rate"), shown=_speed),
    "p": TopOrder(words="pressure", value=_pressure, shown=lambda value: f"{value:.1f} %"),
    "t": TopOrder(words="tasks", value=lambda row: row["tasks"], shown=lambda value: f"{value:.0f}"),
}
"""By the key that chooses it; each is a column too."""
_MOVES: Final[Mapping[str, int]] = {"\x1b[A": -1, "k": -1, "\x1b[B": 1, "j": 1}
_QUIT: Final = frozenset({"q", "Q", "\x03", "\x04"})


class TopScreen:
    """What is seen of the guests. plain: without characters that only UTF-8 has; delay: seconds between pictures."""

    def __init__(self, *, order: str = "c", delay: float = 2.0, plain: bool = False) -> None:
        self.delay = delay
        self.ended = False
        self.paused = False
        self._order = order
        self._by_name = False
        self._reversed = False
        self._first = 0
        self._page = 1
        self._bars = _PLAIN_BARS if plain else _BARS
        self._rows: Sequence[Row] = ()
        self._history: dict[str, dict[str, deque[float]]] = {}

    def take(self, rows: Sequence[Row]) -> None:
        """Show these from now on; guests that are gone are forgotten."""
        self._rows = rows
        there = {row["name"] for row in rows}
        self._history = {name: history for name, history in self._history.items() if name in there}
        for row in rows:
            history = self._history.setdefault(row["name"], {key: deque(maxlen=_HISTORY) for key in ORDERS})
            for key, order in ORDERS.items():
                history[key].append(order.value(row) or 0.0)

    def press(self, key: str) -> None:
        """Do what a key means; one that means nothing does nothing."""
        if key in _QUIT:
            self.ended = True
        elif key in ORDERS:
            self._order, self._by_name, self._first = key, False, 0
        elif key == "a":
            self._by_name, self._first = True, 0
        elif key == "r":
            self._reversed = not self._reversed
        elif key == " ":
            self.paused = not self.paused
        elif key in ("+", "-"):
            least, most = DELAYS
            self.delay = min(most, max(least, self.delay * (2 if key == "+" else 0.5)))
        else:
            self._scroll(key)

    def _scroll(self, key: str) -> None:
        ends = {"\x1b[H": 0, "g": 0, "\x1b[F": len(self._rows), "G": len(self._rows)}
        pages = {"\x1b[5~": -self._page, "\x1b[6~": self._page}
        wanted = ends.get(key, self._first + _MOVES.get(key, 0) + pages.get(key, 0))
        self._first = max(0, min(wanted, len(self._rows) - self._page))

    def picture(self, rows: int, columns: int) -> list[str]:
        """Return the lines of a screen of this size, with colours, each no wider than it."""
        self._page = max(1, rows - _AROUND)
        self._first = max(0, min(self._first, len(self._rows) - self._page))
        seen = self._in_order()[self._first : self._first + self._page]
        console = Console(
            file=StringIO(), force_terminal=True, color_system="standard", width=columns, highlight=False, markup=False
        )
        with console.capture() as captured:
            console.print(Text(self._totals(len(seen)), style="bold", no_wrap=True, overflow="crop"))
            console.print(self._table(seen, plots=columns >= _PLOT_FROM))
        lines = captured.get().splitlines()[: max(1, rows - 1)]
        keys = "q quit  c m i n p t sort  a by name  r reverse  space pause  + - slower, faster  arrows scroll"
        return [*lines, *[""] * (rows - 1 - len(lines)), keys[: max(0, columns - 1)]]

    def _in_order(self) -> list[Row]:
        if self._by_name:
            return sorted(self._rows, key=lambda row: str(row["name"]), reverse=self._reversed)
        value = ORDERS[self._order].value

        def rank(row: Row) -> tuple[float, str]:
            found = value(row)
            rank = -1.0 if found is None else float(found)
            return (rank if self._reversed else -rank), str(row["name"])

        return sorted(self._rows, key=rank)

    def _totals(self, seen: int) -> str:
        place = f", {self._first + 1} to {self._first + seen}" if seen < len(self._rows) else ""
        cpu, memory = (sum(row[each] for row in self._rows) for each in ("cpu", "memory"))
        state = "paused" if self.paused else f"every {self.delay:g} s"
        return f"{len(self._rows)} guests{place}  cpu {cpu:.1f} %  memory {size(memory)}  {state}"

    def _table(self, rows: Sequence[Row], *, plots: bool) -> Table:
        table = Table(box=None, pad_edge=False, expand=False, header_style="reverse")
        table.add_column("NAME", no_wrap=True, overflow="ellipsis", min_width=8)
        for key, order in ORDERS.items():
            chosen = key == self._order and not self._by_name
            table.add_column(f"{order.words.upper()}{'*' if chosen else ''}", justify="right", no_wrap=True)
        if plots:
            table.add_column(ORDERS[self._order].words.upper(), no_wrap=True, min_width=_PLOT)
        for row in rows:
            cells = [Text(neutral(str(row["name"])), style="bold")]
            for order in ORDERS.values():
                value = order.value(row)
                cells.append(Text("-" if value is None else order.shown(value)))
            if plots:
                cells.append(Text(self.plot(row["name"]), style="cyan"))
            table.add_row(*cells)
        return table

    def plot(self, name: str) -> str:
        """How what guests are ordered by went for one of them, each bar in parts of the highest."""
        values = list(self._history[name][self._order])[-_PLOT:]
        most = max(values)
        steps = len(self._bars) - 1
        return "".join(self._bars[round(each / most * steps) if most > 0 else 0] for each in values)
