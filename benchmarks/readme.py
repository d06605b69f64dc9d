"""The figures of a run as the README shows them, each kind between two marks of its own: others are other runs'."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.defined import FLOOR
from benchmarks.table import LIBVIRT, OURS, cpu_part, part_of_few

_END = "<!-- end of figures -->\n"


def fill(path: Path, result: Mapping[str, Any]) -> None:
    """Replace what stands between the marks of all that there are figures for; the rest stays.

    Raises: ValueError if they are not there.
    """
    text = path.read_text()
    for kind, lines in tables(result).items():
        mark = f"<!-- figures: {kind} -->\n"
        before, first, rest = text.partition(mark)
        _, last, after = rest.partition(_END)
        if not first or not last:
            raise ValueError(f"'{path}' has no place for the figures: '{mark.strip()}' and '{_END.strip()}'")
        text = before + first + "\n".join(lines) + "\n" + last + after
    path.write_text(text)


def tables(result: Mapping[str, Any]) -> dict[str, Iterator[str]]:
    """Return the lines of each kind of tables that there are figures for."""
    found = {}
    if "in turns" in result:
        found["verbs"] = _verbs(result)
    if "together" in result:
        found["together"] = _together(result["together"])
    if "defined" in result:
        found["defined"] = _defined(result["defined"])
    if "growing" in result:
        found["growing"] = _growing(result["growing"])
    return found


def _verbs(result: Mapping[str, Any]) -> Iterator[str]:
    turns, row = result["in turns"], result["one after the other"]
    yield "| ms, in turns / one after the other | cold start | start | exec | destroy | CPU of a start |"
    yield "|---|---|---|---|---|---|"
    for name in turns:
        cells = [
            f"{turns[name][verb]['wall']:.1f} / {row[name][verb]['wall']:.1f}"
            for verb in ("cold start", "start", "exec", "destroy")
        ]
        cells.append(f"{turns[name]['start']['cpu']:.0f} / {row[name]['start']['cpu']:.0f}")
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield "| insula in parts of | cold start | start | exec | destroy | CPU of a start |"
    yield "|---|---|---|---|---|---|"
    for peer in (each for each in turns if each not in OURS):
        parts = [
            " / ".join(f"{way[OURS[0]][verb]['wall'] / way[peer][verb]['wall']:.2f}" for way in (turns, row))
            for verb in ("cold start", "start", "exec", "destroy")
        ]
        parts.append(" / ".join(f"{cpu_part(way, OURS[0], peer):.2f}" for way in (turns, row)))
        yield f"| {peer} | {' | '.join(parts)} |"
    yield ""


def _together(runtimes: Mapping[str, Any]) -> Iterator[str]:
    width = next(iter(runtimes.values()))["width"]
    yield f"| {width} starts under way at any time | starts a second | half within, ms | 99 % within, ms |"
    yield "|---|---|---|---|"
    for name, each in runtimes.items():
        yield f"| {name} | {each['a second']:.0f} | {_ms(each['half within'])} | {_ms(each['99 % within'])} |"
    yield ""


def _defined(figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"| {figures['count']} domains defined and off, ms | insula | libvirt's daemon | part | {FLOOR} |"
    yield "|---|---|---|---|---|"
    for question, row in figures.items():
        if question != "count":
            theirs, floor = row.get(LIBVIRT), row.get(FLOOR)
            cells = [_ms(row[OURS[0]]), _ms(theirs), "–" if theirs is None else f"{row[OURS[0]] / theirs:.2f}"]
            yield f"| {question} | {' | '.join(cells)} | {_ms(floor)} |"
    yield ""


def _growing(runtimes: Mapping[str, Any]) -> Iterator[str]:
    ours = runtimes[OURS[0]]["sizes"]
    columns = [size for size in ours if size.isdecimal()]
    yield f"| running at once, ms | {' | '.join(columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, each in runtimes.items():
        sizes = each["sizes"]
        for verb in ("start", "destroy"):
            yield f"| {verb}, {name} | {' | '.join(_ms(sizes.get(size, {}).get(verb)) for size in columns)} |"
        for verb in ("start", "destroy"):
            known = [size if size in sizes else None for size in columns]
            parts = ("–" if size is None else f"{part_of_few(sizes, size=size, verb=verb):.2f}" for size in known)
            yield f"| {verb}, {name}, in parts of one among 10 | {' | '.join(parts)} |"
    for heading in ("questions", "recovery"):
        for what in ours[columns[0]].get(heading, {}):
            label = f"a killed daemon's successor: {what}" if heading == "recovery" else what
            yield f"| {label} | {' | '.join(_ms(ours[size][heading][what]) for size in columns)} |"
    memory = (f"{ours[size]['memory']:.0f}" for size in columns)
    yield f"| MiB of insulad and keeper | {' | '.join(memory)} |"
    yield ""


def _ms(value: float | None) -> str:
    return "–" if value is None else re.sub(r"\.0+$", "", f"{value:.3g}") if value < 100 else f"{value:.0f}"
