"""A start against the number of guests that run already, as an SVG file of a few lines."""

import statistics
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 720, 360, 60, 40
_COLOURS = ("#0b6", "#06c", "#888", "#c60", "#a3a", "#c22", "#690", "#357")


def svg(starts: Mapping[str, Sequence[float]]) -> str:
    """Return a drawing of milliseconds of starts, in their order, by runtime; each point is a median of neighbours."""
    curves = {name: _smooth(each) for name, each in starts.items() if each}
    most = max((max(each) for each in curves.values()), default=1.0)
    count = max((len(each) for each in starts.values()), default=1)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" '
        'font-size="12">',
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
    ]
    for part in range(5):
        y, value = _y(most * part / 4, most), most * part / 4
        lines.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - 10}" stroke="#ddd"/>')
        lines.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{value:.0f} ms</text>')
    for part in range(5):
        x = _LEFT + (_WIDTH - _LEFT - 10) * part / 4
        lines.append(f'<text x="{x:.0f}" y="{_HEIGHT - 18}" text-anchor="middle">{count * part // 4}</text>')
    lines.append(f'<text x="{_WIDTH // 2}" y="{_HEIGHT - 3}" text-anchor="middle">guests that run already</text>')
    for number, (name, curve) in enumerate(curves.items()):
        step = (_WIDTH - _LEFT - 10) / max(count - 1, 1) * (len(starts[name]) / len(curve))
        points = " ".join(f"{_LEFT + step * index:.1f},{_y(value, most):.1f}" for index, value in enumerate(curve))
        colour = _COLOURS[number % len(_COLOURS)]
        lines.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{_LEFT + 8}" y="{18 + 15 * number}" fill="{colour}">{name}</text>')
    return "\n".join([*lines, "</svg>\n"])


def _smooth(values: Sequence[float]) -> list[float]:
    width = max(1, len(values) // 50)
    return [statistics.median(values[at : at + width]) for at in range(0, len(values), width)]


def _y(value: float, most: float) -> float:
    return 10 + (_HEIGHT - _BOTTOM - 10) * (1 - value / most)
