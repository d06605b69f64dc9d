"""Metrics as text: OpenMetrics 1.0 for who asks for it, the older text format of Prometheus for all others.

Sources: the OpenMetrics specification; Prometheus' documentation, "Exposition formats".
"""

from collections.abc import Iterator
from enum import Enum

from insula.service.metrics import FAMILIES, Kind, Samples, labelled

_UNITS = ("seconds", "bytes")


class TextFormat(Enum):
    """By its type of content."""

    OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
    PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def wanted_format(accept: str) -> TextFormat:
    """Return what a client is told that says what it accepts; which of several it likes best is not asked."""
    return TextFormat.OPEN_METRICS if "application/openmetrics-text" in accept else TextFormat.PROMETHEUS


def exposition(samples: Samples, version: str, seconds: float, form: TextFormat) -> Iterator[str]:
    """Return the text of all metrics, a family at a time. seconds: that it took to read them."""
    yield _head("insula_build_info", "gauge", "Version of insulad", form)
    yield f"insula_build_info{{{labelled(version=version)}}} 1\n"
    yield _head("insula_domains", "gauge", "Domains by state", form)
    for state, number in samples.states():
        yield f"insula_domains{{{labelled(state=state)}}} {number}\n"
    yield _head("insula_read_seconds", "gauge", "How long it took to read all this", form)
    yield f"insula_read_seconds {seconds:.6f}\n"
    for family in FAMILIES:
        lines = samples.of(family)
        if lines:
            yield _head(family.name, family.kind.value, family.help, form)
            yield "".join(lines)
    if form is TextFormat.OPEN_METRICS:
        yield "# EOF\n"


def _head(name: str, kind: str, help: str, form: TextFormat) -> str:  # noqa: A002
    """What stands before a family. In OpenMetrics a counter's is called without the end that its samples have."""
    unit = ""
    if form is TextFormat.OPEN_METRICS:
        name = name.removesuffix("_total") if kind == Kind.COUNTER.value else name
        ends = [each for each in _UNITS if name.endswith(f"_{each}")]
        unit = f"# UNIT {name} {ends[0]}\n" if ends else ""
    return f"# HELP {name} {help}.\n# TYPE {name} {kind}\n{unit}"
