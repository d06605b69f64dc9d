"""Attacks on container engines, each by its number, with what holds it here and the tests that try it.

`tests/data/attacks.toml` is the table; `python -m tests.attacktable` writes the reference's page from it, as does
`scripts/build-reference`. Every test of a file `test_attacks_*.py` stands in some row.
"""

import ast
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
TABLE = CHECKOUT / "tests/data/attacks.toml"
PAGE = CHECKOUT / "docs/reference/attacks.md"

INTRODUCTION = """# Attacks, by their numbers

How engines of containers were attacked in the last ten years, what holds each attack here, and the tests that try it
against this engine: on unprivileged guests, and on privileged ones where that means something.
[What is promised to whom](../explanation/security.md) has the same by what is promised, and what is not.
Where a mistake of the kernel's made an attack, what is tried is that a guest does not reach it.

Made from `tests/data/attacks.toml` by `scripts/build-reference`; the tests' names are in it.
"""

UNHELD = """
## What nothing here holds

- Mistakes in what every guest with a user namespace reaches: mounts of file systems (CVE-2022-0185), packet filters of
  its own network (CVE-2021-22555, CVE-2022-32250, CVE-2023-32233, CVE-2024-1086, CVE-2026-31414), overlays
  (CVE-2021-3493, CVE-2023-0386, CVE-2023-2640), pipes and memory (CVE-2016-5195, CVE-2022-0847). The profile
  `migratable` refuses further user and network namespaces; all else is the kernel's to mend, and the host's to keep
  up to date.
- What processors leak between programs that share one.
- A privileged guest beyond what [is told of it](../explanation/security.md#what-a-privileged-domain-gives-away).
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Attack:
    """One row. numbers: as published, or what it is called; tests: `file::test`."""

    family: str
    numbers: str
    was: str
    held: str
    tests: tuple[str, ...]


def attacks(path: Path = TABLE) -> list[Attack]:
    """Read the table, in its order."""
    return [
        Attack(family=family["title"], numbers=numbers, was=was, held=held, tests=tuple(tests))
        for family in tomllib.loads(path.read_text())["family"]
        for numbers, was, held, tests in family["rows"]
    ]


@cache
def tests_of(file: Path) -> frozenset[str]:
    """Return the names of the tests in a file."""
    tree = ast.parse(file.read_bytes())
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def mistakes(rows: list[Attack]) -> Iterator[str]:
    """Say which tests are named that are not there, and which that try an attack are not named."""
    named = {test for row in rows for test in row.tests}
    for row in rows:
        if not row.tests:
            yield f"{row.numbers}: no test"
    for test in sorted(named):
        file, _, name = test.partition("::")
        if not (CHECKOUT / file).is_file() or name not in tests_of(CHECKOUT / file):
            yield f"{test}: not there"
    for path in sorted((CHECKOUT / "tests").rglob("test_attacks_*.py")):
        for name in sorted(tests_of(path)):
            if f"{path.relative_to(CHECKOUT)}::{name}" not in named:
                yield f"{path.relative_to(CHECKOUT)}::{name}: in no row"


def page(rows: list[Attack]) -> str:
    """Return the reference's page."""
    lines, family = [INTRODUCTION], ""
    for row in rows:
        if row.family != family:
            blank = [""] if family else []
            family = row.family
            title = f"## {family[0].upper()}{family[1:]}"
            lines += [*blank, title, "", "| attack | what it was | what holds it | tried by |", "|---|---|---|---|"]
        files = dict.fromkeys(test.partition("::")[0] for test in row.tests)
        numbers = ", ".join(row.numbers.split()) if row.numbers.startswith("CVE") else row.numbers
        lines.append(f"| {numbers} | {row.was} | {row.held} | {', '.join(f'`{each}`' for each in files)} |")
    return "\n".join(lines) + "\n" + UNHELD


def main() -> int:
    """Write the page. Returns 1, and says why, if the table names tests that are not there."""
    rows = attacks()
    wrong = list(mistakes(rows))
    for line in wrong:
        print(line, file=sys.stderr)
    PAGE.write_text(page(rows))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
