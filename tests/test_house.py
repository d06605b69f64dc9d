"""The house's own order: the mirror of the tests, sizes, words that have no place here, links that lead somewhere."""

import ast
import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
SOURCE = CHECKOUT / "src/insula"
LONGEST_MODULE, LONGEST_FILE = 400, 500
"""Lines of a module of ours, and of any other Python file."""
CODE_DIRECTORIES = ("src", "tests", "benchmarks", "scripts")
SAME_STEM = {
    "__init__": "every package has one",
    "main": "of each program, by Python's custom: `insula`, `insulad` and the keeper",
}
"""File stems that several modules bear, with the reason."""
SAME_CLASS: dict[str, str] = {}
"""Class names that several classes bear, with the reason."""
DEADLINES = {"create_connection", "join", "result", "settimeout", "timeout", "wait", "wait_for"}
"""Calls whose numbers are deadlines, in seconds."""
NAMED_DEADLINES = DEADLINES | {"communicate", "run"}
"""Those whose `timeout` is one."""
OBSERVED = 1.0
"""Seconds from which on a number is no observation that nothing happens, but a wait for something that does."""
TEXT_SUFFIXES = (".md", ".py", ".toml", ".sh", ".txt", ".xml", ".json", ".service", ".yml", "")

# Hosts that serve packages and images, and places of one machine only: a checkout works through the configuration of
# whatever host it stands on. Split here, so that this file does not find itself.
FORBIDDEN = (
    "deb." + "debian.org",
    "security." + "debian.org",
    "snapshot." + "debian.org",
    "pypi" + ".org",
    "files.python" + "hosted.org",
    "registry." + "npmjs.org",
    "docker" + ".io",
    "process" + "_api",
)
PLACE_OF_ONE_MACHINE = re.compile(r"(?<![\w.}*])/" + "work/")


def files() -> list[Path]:
    """Return the files of the checkout, whether or not committed yet; ignored ones are left out."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    return [CHECKOUT / name for name in names if name and (CHECKOUT / name).is_file()]


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if path.name != "__init__.py")


def mirror(module: Path) -> Path:
    place = module.relative_to(SOURCE)
    return CHECKOUT / "tests/unit" / place.parent / f"test_{place.name}"


def test_every_module_has_its_unit_tests_in_the_mirror() -> None:
    missing = [str(mirror(module).relative_to(CHECKOUT)) for module in modules() if not mirror(module).is_file()]
    assert not missing, "\n".join(("to be written:", *missing))


def test_every_unit_test_file_mirrors_a_module() -> None:
    """Or a part of one, as test_MODULE_PART.py, where one file would be too long."""
    mirrors = {mirror(module).with_suffix("") for module in modules()}

    def known(path: Path) -> bool:
        words = path.stem.split("_")
        return any(path.with_name("_".join(words[:count])) in mirrors for count in range(2, len(words) + 1))

    strangers = [path.relative_to(CHECKOUT) for path in CHECKOUT.glob("tests/unit/**/test_*.py") if not known(path)]
    assert [path for path in strangers if path.parts[2] != "machinery"] == []


def test_no_python_file_is_longer_than_one_idea() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in files() if path.suffix == ".py"}
    long = [
        f"{path.relative_to(CHECKOUT)}: {length}"
        for path, length in lengths.items()
        if length > (LONGEST_MODULE if path.is_relative_to(SOURCE) else LONGEST_FILE)
    ]
    assert not long, "\n".join(("too long, to be split by idea:", *long))


def borne_twice(names: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    """Return the names that stand in several places, with these. names: each with its place."""
    places: dict[str, list[str]] = {}
    for name, place in names:
        places.setdefault(name, []).append(place)
    return {name: found for name, found in places.items() if len(found) > 1}


def test_no_module_has_the_name_of_another() -> None:
    stems = [(path.stem, str(path.relative_to(SOURCE))) for path in sorted(SOURCE.rglob("*.py"))]
    twice = borne_twice(stems)
    assert {name: places for name, places in twice.items() if name not in SAME_STEM} == {}
    assert SAME_STEM.keys() - twice.keys() == set(), "no longer an exception"


def test_no_class_has_the_name_of_another_private_or_not() -> None:
    classes = [
        (node.name.lstrip("_"), f"{path.relative_to(SOURCE)}:{node.lineno}")
        for path in sorted(SOURCE.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ClassDef)
    ]
    twice = borne_twice(classes)
    assert {name: places for name, places in twice.items() if name not in SAME_CLASS} == {}
    assert SAME_CLASS.keys() - twice.keys() == set(), "no longer an exception"


def test_no_file_names_a_package_host_or_a_place_of_one_machine() -> None:
    found = []
    for path in files():
        text = path.read_text(errors="replace") if path.suffix in TEXT_SUFFIXES else ""
        words = [word for word in FORBIDDEN if word in text] + PLACE_OF_ONE_MACHINE.findall(text)
        found += [f"{path.relative_to(CHECKOUT)}: {word}" for word in words]
    assert not found, "\n".join(found)


def test_programs_to_be_started_by_hand_are_executable() -> None:
    programs = [path for path in files() if path.parent == CHECKOUT / "scripts" or path == CHECKOUT / ".ci/run"]
    with_shebang = [path for path in programs if path.read_text().startswith("#!")]
    assert with_shebang
    assert [path.name for path in with_shebang if not os.access(path, os.X_OK)] == []


def pages() -> list[Path]:
    return [path for path in files() if path.suffix == ".md"]


def headings(page: Path) -> list[str]:
    """Return the words by which links name a page's headings, in order; what stands in code blocks is none."""
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)
    titles: list[str] = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]


def test_every_link_in_the_documents_leads_to_a_file_and_to_a_heading_in_it() -> None:
    broken = []
    for page in pages():
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, heading = target.partition("#")
            aim = page.parent / name if name else page
            if not aim.exists() or (heading and heading not in headings(aim)):
                broken.append(f"{page.relative_to(CHECKOUT)} → {target}")
    assert not broken, "\n".join(broken)


def test_documents_name_only_files_that_are_there() -> None:
    named = re.compile(r"`((?:tests|src|scripts|benchmarks)/[\w./-]+\.\w+)`")
    missing = [
        f"{path.relative_to(CHECKOUT)}: {name}"
        for path in files()
        if path.suffix == ".md" and path.name != "CHANGELOG.md"
        for name in named.findall(path.read_text())
        if not (CHECKOUT / name).is_file()
    ]
    assert not missing, "\n".join(("not there:", *missing))


def test_no_page_has_two_parts_of_one_name_or_rows_outside_of_a_table() -> None:
    """Both are what is left when changes of several people are put together line by line."""
    wrong = []
    for page in pages():
        where = page.relative_to(CHECKOUT)
        names = headings(page)
        wrong += [f"{where}: two parts named {name}" for name in set(names) if names.count(name) > 1]
        lines = page.read_text().splitlines()
        for before, (number, line) in zip(["", *lines], enumerate(lines, 1), strict=False):
            follows = lines[number] if number < len(lines) else ""
            if line.startswith("| ") and not before.startswith("|") and not follows.startswith("|--"):
                wrong.append(f"{where}:{number}: a row outside of a table")
    assert not wrong, "\n".join(wrong)


def test_every_promise_stands_beside_its_test_and_in_a_table_of_promises() -> None:
    page = CHECKOUT / "docs/explanation/security.md"
    wrong, column = [], ""
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if not line.startswith("|"):
            column = ""
            continue
        last = line.rstrip("| ").rpartition("| ")[2]
        column = column or last
        named = re.findall(r"`(tests/[\w/]+\.py)`", last)
        if set(last) <= {"-", "|"} or last == column:
            continue
        if bool(named) != (column == "test"):
            wrong.append(f"{number}: {last}")
    assert not wrong, "\n".join(wrong)


def bare_deadlines(path: Path) -> list[str]:
    """Return the calls of a file that wait for a number of seconds which a slow host does not stretch."""
    found = []
    for call in (node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        marks = isinstance(call.func, ast.Attribute) and ast.unparse(call.func.value) == "pytest.mark"
        named = [each.value for each in call.keywords if each.arg == "timeout" and name in NAMED_DEADLINES]
        for value in [*(call.args if name in DEADLINES and not marks else ()), *named]:
            seconds = value.value if isinstance(value, ast.Constant) else None
            if isinstance(seconds, int | float) and seconds >= OBSERVED:
                found += [f"{path.relative_to(CHECKOUT)}:{call.lineno}: {name}({seconds})"]
    return found


def test_no_deadline_of_a_test_is_a_bare_number() -> None:
    """A busy host takes longer, and the emulated machine fifteen times as long: see `waiting.scaled`."""
    tests = [path for path in files() if path.suffix == ".py" and path.is_relative_to(CHECKOUT / "tests")]
    found = [each for path in tests for each in bare_deadlines(path)]
    assert not found, "\n".join(found)
