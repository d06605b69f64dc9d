"""The figures as text: a table of each way of measuring, and ours as parts of the others'."""

from collections.abc import Iterator, Mapping
from typing import Any

from benchmarks.measuring import VERBS

OURS = ("insula", "insula (virsh)")
LIBVIRT = "libvirt-lxc"
"""The daemon that ours is compared with where it is about many domains."""


def text(result: Mapping[str, Any]) -> str:
    """Return all tables."""
    return "\n".join(_lines(result))


def _lines(result: Mapping[str, Any]) -> Iterator[str]:
    for way in ("in turns", "one after the other"):
        if way in result:
            yield from _verbs(way, result[way])
    for name, each in result.get("together", {}).items():
        yield (
            f"{name:20} {each['width']:>5} starts under way: {each['a second']:.0f} a second, half within "
            f"{each['half within']:.1f} ms, 99 % within {each['99 % within']:.1f} ms"
        )
    if "defined" in result:
        yield from _defined(result["defined"])
    for name, each in result.get("growing", {}).items():
        yield from _growing(name, each["sizes"])


def _verbs(way: str, rows: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n{way}, ms (CPU ms of the host)"
    yield f"{'':20}" + "".join(f"{verb:>18}" for verb in VERBS)
    for name, row in rows.items():
        cells = (f"{row[verb]['wall']:.2f} ({row[verb]['cpu']:.2f})" for verb in VERBS)
        yield f"{name:20}" + "".join(f"{cell:>18}" for cell in cells)
    for ours in (each for each in OURS if each in rows):
        for peer in (each for each in rows if each not in OURS):
            parts = (f"{verb} {rows[ours][verb]['wall'] / rows[peer][verb]['wall']:.2f}" for verb in VERBS)
            yield f"{ours} / {peer}: {', '.join(parts)}; CPU of a start {cpu_part(rows, ours, peer):.2f}"


def cpu_part(rows: Mapping[str, Any], ours: str, peer: str) -> float:
    """Return the processor time of a start of ours as a part of the peer's."""
    return float(rows[ours]["start"]["cpu"] / max(rows[peer]["start"]["cpu"], 0.001))


def _defined(figures: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n{figures['count']} domains defined, ms"
    for question, row in figures.items():
        if question != "count":
            cells = ", ".join(f"{name} {value:.3f}" for name, value in row.items())
            part = f": {row[OURS[0]] / row[LIBVIRT]:.2f}" if OURS[0] in row and LIBVIRT in row else ""
            yield f"{question:40} {cells}{part}"


def _growing(name: str, sizes: Mapping[str, Any]) -> Iterator[str]:
    yield f"\n{name}: among so many at once, ms"
    few = sizes["10"]
    for size, each in sizes.items():
        told = [f"{verb} {each[verb]:.2f} ({each[verb] / few[verb]:.2f})" for verb in ("start", "destroy", "cpu")]
        if "list" in each:
            told += [f"list {each['list']:.2f}", f"{each['memory']:.1f} MiB"]
        yield f"{size:>6}: {', '.join(told)}"
        for heading in ("questions", "recovery"):
            if heading in each:
                yield f"        {heading}: " + ", ".join(f"{what} {ms:.2f}" for what, ms in each[heading].items())
    largest = max((size for size in sizes if size.isdecimal()), key=int)
    for verb in ("start", "destroy"):
        part = part_of_few(sizes, size=largest, verb=verb)
        yield f"        a {verb} among {largest}: {part:.2f} of one among 10, before and after"


def part_of_few(sizes: Mapping[str, Any], *, size: str, verb: str) -> float:
    """Return a verb among so many as a part of one among 10: the mean of before and after, as hosts drift."""
    return float(sizes[size][verb] / ((sizes["10"][verb] + sizes["again"][verb]) / 2))
