"""The picture of `insula top`: what it shows of guests, in which order, and what keys change."""

import re
from typing import Any

import pytest

from insula.cli.topscreen import DELAYS, ORDERS, TopScreen


def row(name: str, **values: Any) -> dict[str, Any]:
    zeros = dict.fromkeys(("cpu", "memory", "read_rate", "written_rate", "received_rate", "sent_rate", "tasks"), 0)
    pressures = dict.fromkeys(("cpu_pressure", "memory_pressure", "io_pressure"))
    return {"name": name, **zeros, **pressures, **values}


def shown(screen: TopScreen, rows: int = 24, columns: int = 140) -> list[str]:
    """The lines, without colours."""
    return [re.sub(r"\x1b\[[0-9;]*m", "", each) for each in screen.picture(rows, columns)]


def names(screen: TopScreen, rows: int = 24) -> list[str]:
    return [each.split()[0] for each in shown(screen, rows)[2:-1] if each.strip()]


def screen_of(*rows: dict[str, Any]) -> TopScreen:
    screen = TopScreen()
    screen.take(rows)
    return screen


def test_it_says_how_many_there_are_and_what_each_takes() -> None:
    lines = shown(screen_of(row("web", cpu=12.5, memory=3 << 20, sent_rate=2048, io_pressure=7.25, tasks=9), row("db")))
    assert lines[0].startswith("2 guests  cpu 12.5 %  memory 3.0 MiB  every 2 s")
    assert lines[1].split() == ["NAME", "CPU*", "MEMORY", "IO", "NET", "PRESSURE", "TASKS", "CPU"]
    assert re.split(r"\s{2,}|(?<=%) ", lines[2])[:7] == ["web", "12.5 %", "3.0 MiB", "0 B/s", "2.0 KiB/s", "7.2 %", "9"]
    assert lines[3].split()[0] == "db" and " - " in lines[3], "nobody counts its pressure"
    assert len(lines) == 24 and lines[-1].startswith("q quit")


@pytest.mark.parametrize(
    ("key", "values"),
    [
        ("c", {"cpu": 1}),
        ("m", {"memory": 1}),
        ("i", {"written_rate": 1}),
        ("n", {"received_rate": 1}),
        ("p", {"memory_pressure": 0.1}),
        ("t", {"tasks": 1}),
    ],
)
def test_keys_choose_the_order_and_who_has_nothing_comes_last(key: str, values: dict[str, Any]) -> None:
    screen = screen_of(row("a"), row("z", **values))
    screen.press(key)
    assert names(screen) == ["z", "a"]
    screen.press("r")
    assert names(screen) == ["a", "z"]
    screen.press("r")
    screen.press("a")
    assert names(screen) == ["a", "z"]
    assert set(ORDERS) == set("cminpt")


def test_many_guests_are_scrolled_through_and_never_beyond() -> None:
    screen = screen_of(*(row(f"g{number:03}", cpu=1000 - number) for number in range(100)))
    assert names(screen, 13) == [f"g{number:03}" for number in range(10)]
    assert "100 guests, 1 to 10" in shown(screen, 13)[0]
    for keys, first in (
        ("j", 1),
        ("\x1b[B", 2),
        ("\x1b[6~", 12),
        ("G", 90),
        ("\x1b[6~", 90),
        ("k", 89),
        ("g", 0),
        ("\x1b[A", 0),
    ):
        screen.press(keys)
        assert names(screen, 13)[0] == f"g{first:03}", keys
    screen.press("G")
    screen.take([row("only")])
    assert names(screen, 13) == ["only"], "those that were there are gone"


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 10), (4, 40), (24, 80), (50, 200)])
def test_no_line_is_wider_than_the_screen_nor_are_there_more(rows: int, columns: int) -> None:
    screen = screen_of(*(row(f"a-guest-with-a-long-name-{number}" * 3, memory=1 << 40) for number in range(60)))
    lines = shown(screen, rows, columns)
    assert len(lines) <= max(rows, 2) and all(len(each) <= columns for each in lines)


def test_a_plot_shows_how_it_went_and_is_forgotten_with_its_guest() -> None:
    screen = TopScreen()
    for cpu in (0, 50, 100):
        screen.take([row("web", cpu=cpu)])
    assert screen.plot("web") == "▁▅█"
    assert "▁▅█" in shown(screen)[2] and "▁▅█" not in shown(screen, columns=80)[2]
    screen.take([])
    screen.take([row("web", cpu=1)])
    assert screen.plot("web") == "█"
    plain = TopScreen(plain=True)
    plain.take([row("web", cpu=0)])
    plain.take([row("web", cpu=7)])
    assert plain.plot("web") == ".@"


def test_names_command_no_terminal() -> None:
    assert "\\x1b[6n" in shown(screen_of(row("a\x1b[6n")))[2]


def test_it_is_paused_made_faster_and_ended_by_keys() -> None:
    screen = screen_of(row("web"))
    screen.press(" ")
    assert screen.paused and "paused" in shown(screen)[0]
    for _ in range(20):
        screen.press("+")
    assert screen.delay == DELAYS[1]
    for _ in range(20):
        screen.press("-")
    assert screen.delay == DELAYS[0]
    screen.press("x")
    assert not screen.ended
    screen.press("q")
    assert screen.ended
