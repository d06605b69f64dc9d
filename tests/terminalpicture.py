"""Draws what a program said as the picture of a terminal (SVG).

    python -m tests.terminalpicture docs/demo.txt docs/demo.svg

The same text gives the same bytes: the picture in the README is drawn from a committed run of `scripts/demo`, which
`scripts/draw-demo` makes anew.
"""

import argparse
from html import escape
from pathlib import Path

COLUMNS = 116
"""What is longer is cut, as a terminal without wrapping has it."""
_LINE, _CHARACTER, _MARGIN, _BAR = 18, 7.8, 16, 30
_BACKGROUND, _FRAME, _TEXT, _COMMAND, _TITLE = "#1b1f27", "#2a303c", "#c9d1d9", "#7ee787", "#79c0ff"


def picture(text: str) -> str:
    """Return the picture of a terminal that shows text: commands (`$ `) and titles (`== `) stand out."""
    lines = [each[:COLUMNS] for each in text.rstrip("\n").split("\n")]
    width = round(COLUMNS * _CHARACTER + 2 * _MARGIN)
    height = _BAR + len(lines) * _LINE + _MARGIN
    drawn = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="A terminal">',
        f'<rect width="{width}" height="{height}" rx="8" fill="{_BACKGROUND}"/>',
        f'<path d="M0 {_BAR - 6}V8a8 8 0 0 1 8-8H{width - 8}a8 8 0 0 1 8 8V{_BAR - 6}Z" fill="{_FRAME}"/>',
        *(
            f'<circle cx="{_MARGIN + place * 18}" cy="12" r="5" fill="{colour}"/>'
            for place, colour in enumerate(("#ff5f57", "#febc2e", "#28c840"))
        ),
        '<g font-family="ui-monospace, SFMono-Regular, Menlo, DejaVu Sans Mono, monospace" font-size="13" '
        f'fill="{_TEXT}" xml:space="preserve">',
    ]
    for number, line in enumerate(lines):
        if line.strip():
            drawn.append(_line(line, _BAR + (number + 1) * _LINE - 6))
    return "\n".join([*drawn, "</g>", "</svg>", ""])


def _line(line: str, height: int) -> str:
    colour = _COMMAND if line.startswith("$ ") else _TITLE if line.startswith("== ") else None
    weight = ' font-weight="bold"' if colour else ""
    fill = f' fill="{colour}"' if colour else ""
    length = f' textLength="{len(line) * _CHARACTER:.1f}" lengthAdjust="spacingAndGlyphs"'
    plain = "".join(each if each.isprintable() else "·" for each in line)
    return f'<text x="{_MARGIN}" y="{height}"{length}{fill}{weight}>{escape(plain, quote=False)}</text>'


def main() -> None:
    """Draw the text of one file into another."""
    parser = argparse.ArgumentParser(description="Draw what a program said as the picture of a terminal.")
    parser.add_argument("text", type=Path)
    parser.add_argument("picture", type=Path)
    options = parser.parse_args()
    options.picture.write_text(picture(options.text.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
