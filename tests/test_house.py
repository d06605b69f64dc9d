"""The house's own order: the mirror of the tests, sizes, words that have no place here, links that lead somewhere."""

import os
import re
import subprocess
from pathlib import Path

CHECKOUT = Path(__file__).parents[1]
SOURCE = CHECKOUT / "src/insula"
LONGEST_FILE = 500
CODE_DIRECTORIES = ("src", "tests", "benchmarks", "scripts")
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
    long = [f"{path.relative_to(CHECKOUT)}: {length}" for path, length in lengths.items() if length > LONGEST_FILE]
    assert not long, "\n".join((f"more than {LONGEST_FILE} lines, to be split by idea:", *long))


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


def test_every_link_in_the_documents_leads_to_a_file() -> None:
    broken = [
        f"{page.relative_to(CHECKOUT)} → {target}"
        for page in files()
        if page.suffix == ".md"
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        if not re.match(r"[a-z]+:|#", target) and not (page.parent / target.partition("#")[0]).exists()
    ]
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
