"""The figures as text: a table of each way of measuring, and ours as parts of the others'."""

from collections.abc import Iterator
from typing import Any

from benchmarks.measuring import VERBS

_OURS = ("insula", "insula (virsh)")


def text(result: dict[str, Any]) -> str:
    """Return all tables."""
    return "\n".join(_lines(result))


def _lines(result: dict[str, Any]) -> Iterator[str]:
    for way in ("in turns", "one after the other"):
        yield f"\n{way}, ms (CPU ms of the host)"
        yield f"{'':20}" + "".join(f"{verb:>18}" for verb in VERBS)
        for name, row in result[way].items():
            cells = (f"{row[verb]['wall']:.2f} ({row[verb]['cpu']:.2f})" for verb in VERBS)
            yield f"{name:20}" + "".join(f"{cell:>18}" for cell in cells)
        yield from _ratios(result[way])
    for name, each in result["together"].items():
        yield (
            f"{name:20} {each['width']:>5} starts under way: {each['a second']:.0f} a second, half within "
            f"{each['half within']:.1f} ms, 99 % within {each['99 % within']:.1f} ms"
        )
    for name, crowds in result["crowds"].items():
        for each in crowds:
            yield (
                f"{name:20} {each['count']:>5} at once: a start {each['first']:.2f} ms among the first, "
                f"{each['among']:.2f} among the last; list {each['list']:.2f} ms; {each['memory']:.1f} MiB"
            )


def _ratios(rows: dict[str, Any]) -> Iterator[str]:
    for ours in (each for each in _OURS if each in rows):
        for peer in (each for each in rows if each not in _OURS):
            parts = (f"{verb} {rows[ours][verb]['wall'] / rows[peer][verb]['wall']:.2f}" for verb in VERBS)
            yield f"{ours} / {peer}: {', '.join(parts)}; CPU of a start {_cpu(rows, ours, peer):.2f}"


def _cpu(rows: dict[str, Any], ours: str, peer: str) -> float:
    return float(rows[ours]["start"]["cpu"] / max(rows[peer]["start"]["cpu"], 0.001))
