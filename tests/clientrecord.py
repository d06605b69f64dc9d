"""Which programs that speak libvirt's protocol were tried, and how it went: kept from runs, shown as a table.

A test that tries one says so: `@pytest.mark.client("virt-clone")`, or with a verdict that is worse than that it works,
and the reason: `client("virt-xml", "partly", "why")`. A run leaves `clients.json` among its artefacts: each client's
version and the files of the tests that passed. `python -m tests.clientrecord FILE` takes that over into `RECORD`, and
writes the tables of `PAGE`, as does `scripts/build-reference` without a file.
"""

import ast
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from insula.rpc.absentreasons import ABSENT_REASONS
from tests import roots, sideload
from tests.artefacts import artefact
from tests.e2e.virshcommands import NOTHING, OWN, PARTLY, asked

CHECKOUT = Path(__file__).parents[1]
RECORD = CHECKOUT / "tests/data/clients.json"
PAGE = CHECKOUT / "docs/reference/clients.md"
ARTEFACT = "clients.json"
VERDICTS = ("works", "partly", "meaningless here")
"""From good to bad: the worst of a client's tests is the client's."""
MARKER = "client(name, verdict='works', why=''): tries a client of libvirt's protocol (tests/clientrecord.py)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Client:
    """A program or library. tried: what of it; version: what tells it on this host; untried: why no test tries it."""

    tried: str = ""
    version: Callable[[], str] = str
    untried: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """What runs have shown of a client. tests: the files whose tests passed, none failing."""

    version: str
    verdict: str
    why: str
    tests: tuple[str, ...]


def _installed(package: str) -> Callable[[], str]:
    return lambda: (
        subprocess.run(
            ["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True, check=True
        ).stdout
    )


def _side_loaded(name: str, package: str) -> Callable[[], str]:
    def version() -> str:
        documents = sideload.found(name).parents[1] / "root/usr/share/doc" / package
        with gzip.open(documents / "changelog.Debian.gz", "rt", errors="replace") as log:
            return str(re.findall(r"\((\S+)\)", log.readline())[0])

    return version


def _desktop(package: str) -> str:
    status = (roots.desktop("13") / "var/lib/dpkg/status").read_text()
    return str(re.findall(rf"^Package: {package}\n(?:.+\n)*?Version: (\S+)", status, re.MULTILINE)[0])


def _version(client: str) -> str:
    """Return a client's version, nothing where it cannot be told."""
    try:
        return CLIENTS[client].version()
    except (OSError, subprocess.CalledProcessError, IndexError):
        return ""


CLIENTS: Mapping[str, Client] = {
    "virsh 9": Client(
        tried="[every command](#commands-of-virsh); the commands of an administrator's day with all that they say, "
        "errors in its words, packet filters",
        version=_installed("libvirt-clients"),
    ),
    "virsh 11": Client(
        tried="[every command](#commands-of-virsh); consoles and events",
        version=_side_loaded("virsh-11", "libvirt-clients"),
    ),
    "virsh 12": Client(
        tried="[every command](#commands-of-virsh); consoles and events",
        version=_side_loaded("virsh-12", "libvirt-clients"),
    ),
    "virt-install": Client(tried="a container is made", version=_installed("virtinst")),
    "virt-xml": Client(tried="a container is changed", version=_installed("virtinst")),
    "virt-clone": Client(
        tried="a container's [definition](#where-we-differ-on-purpose) is copied", version=_installed("virtinst")
    ),
    "virt-top": Client(tried="what runs, and what it takes", version=_side_loaded("virt-top", "virt-top")),
    "virt-manager": Client(tried="[its windows](#virt-manager)", version=lambda: _desktop("virt-manager")),
    "libvirt-dbus": Client(
        tried="domains and networks as objects on a bus: lists, properties, statistics, life",
        version=_side_loaded("libvirt-dbus", "libvirt-dbus"),
    ),
    "libvirt-python": Client(
        tried="events, keepalive, streams, errors, many at once; networks; channels",
        version=_installed("python3-libvirt"),
    ),
    "go-libvirt": Client(
        tried="a protocol of its own, no library of libvirt's: start, events, statistics, errors",
        version=_installed("golang-github-digitalocean-go-libvirt-dev"),
    ),
    "ruby-libvirt": Client(tried="start, lists, errors", version=_installed("ruby-libvirt")),
    "Sys::Virt (Perl)": Client(tried="lists, statistics, errors", version=_installed("libsys-virt-perl")),
    "Ansible's connection, by our plugin": Client(
        tried="[commands, users, files both ways, a domain that is off](../howto/ansible.md)",
        version=_side_loaded("ansible", "ansible-core"),
    ),
    "Ansible's `community.libvirt.virt`": Client(
        tried="define, start, pause, information, autostart, destroy, undefine",
        version=_side_loaded("ansible", "ansible"),
    ),
    "Ansible's `community.libvirt.virt_net`": Client(
        tried="define, start, autostart, information, a host added, stop, undefine",
        version=_side_loaded("ansible", "ansible"),
    ),
    "Ansible's `community.libvirt.virt_pool`": Client(
        tried="lists are empty; a pool is refused", version=_side_loaded("ansible", "ansible")
    ),
    "collectd's plugin virt": Client(
        tried="processors, memory, interfaces, state", version=_side_loaded("collectd", "collectd-core")
    ),
    "prometheus-libvirt-exporter": Client(
        tried="a scrape, of a domain that runs and one that does not",
        version=_side_loaded("prometheus-libvirt-exporter", "prometheus-libvirt-exporter"),
    ),
    "Nova's sequence of calls": Client(
        tried="its driver's beginning, an instance's life with a card of each kind, hotplug, statistics, its end: by "
        "libvirt-python, as Nova documents it, not by Nova itself",
        version=_installed("python3-libvirt"),
    ),
}


# What tests say


def marks() -> dict[str, dict[str, tuple[str, str]]]:
    """Return client → test file → verdict and reason, as the sources of the end-to-end tests have it."""
    found: dict[str, dict[str, tuple[str, str]]] = {}
    for file in sorted((CHECKOUT / "tests/e2e").glob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.client":
                name, verdict, why = _said(*(ast.literal_eval(each) for each in node.args))
                known = found.setdefault(name, {}).get(str(file.relative_to(CHECKOUT)), (VERDICTS[0], ""))
                found[name][str(file.relative_to(CHECKOUT))] = max(known, (verdict, why), key=_badness)
    return found


def _said(name: str, verdict: str = VERDICTS[0], why: str = "") -> tuple[str, str, str]:
    return name, verdict, why


def _badness(said: tuple[str, str]) -> int:
    return VERDICTS.index(said[0])


class ClientRecorder:
    """A plugin of pytest: leaves which clients' tests passed, beside what earlier parts of the run left."""

    def __init__(self) -> None:
        self._marks: dict[str, list[tuple[str, str, str]]] = {}
        self._passed: set[str] = set()
        self._failed: set[str] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            said = [_said(*mark.args) for mark in item.iter_markers("client")]
            if said:
                self._marks[item.nodeid] = said

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self._failed.add(report.nodeid)
        elif report.passed and report.when == "call":
            self._passed.add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        tried = {name: said for name, said in self._marks.items() if name in self._passed | self._failed}
        if tried:
            rows = {client: self._row(client, tried) for said in tried.values() for client, _, _ in said}
            told = {client: row for client, row in rows.items() if row}
            write(artefact(ARTEFACT), {**read(artefact(ARTEFACT)), **told})

    def _row(self, client: str, tried: Mapping[str, list[tuple[str, str, str]]]) -> Row | None:
        """Return what this session says of a client; None if a test of it failed."""
        mine = {test: said for test, every in tried.items() for said in every if said[0] == client}
        if self._failed & mine.keys():
            return None
        _, verdict, why = max(mine.values(), key=lambda said: _badness(said[1:]))
        before = read(artefact(ARTEFACT)).get(client)
        files = {test.partition("::")[0] for test in mine} | set(before.tests if before else ())
        return Row(version=_version(client), verdict=verdict, why=why, tests=tuple(sorted(files)))


# The record


def read(file: Path) -> dict[str, Row]:
    """Return client → row; nothing if there is no such file."""
    if not file.exists():
        return {}
    return {name: Row(**{**row, "tests": tuple(row["tests"])}) for name, row in json.loads(file.read_text()).items()}


def write(file: Path, rows: Mapping[str, Row]) -> None:
    file.write_text(json.dumps({name: asdict(row) for name, row in sorted(rows.items())}, indent=1) + "\n")


# The page


def page(rows: Mapping[str, Row]) -> str:
    """Return the page with its two tables made anew."""
    return _between(_between(PAGE.read_text(), "clients", _clients(rows)), "commands of virsh", _commands())


def _between(text: str, what: str, lines: Iterator[str]) -> str:
    begin, end = f"<!-- {what}: made by scripts/build-reference -->", f"<!-- end of the {what} -->"
    before, _, rest = text.partition(begin)
    return "\n".join([before + begin, "", *lines, "", end]) + rest.partition(end)[2]


def _clients(rows: Mapping[str, Row]) -> Iterator[str]:
    yield "| client | version | | what is tried | by |"
    yield "|---|---|---|---|---|"
    for name, client in CLIENTS.items():
        if client.untried:
            yield f"| {name} | | not tried: {client.untried} | | |"
        elif row := rows.get(name):
            verdict = f"{row.verdict}: {row.why}" if row.why else row.verdict
            tests = ", ".join(f"`{each}`" for each in row.tests)
            yield f"| {name} | {row.version} | {verdict} | {client.tried} | {tests} |"


def _commands() -> Iterator[str]:
    """Yield a row for all that work, then one for each answer of the others, with those that get it."""
    answers: dict[str, list[str]] = {"works": list(OWN)}
    works = {each.words[0] for each in asked() if each.refusal in ("", NOTHING)}
    for each in asked():
        command = each.words[0]
        commands = answers.setdefault("works" if command in works else _answer(command, each.refusal), [])
        if command not in commands:
            commands.append(command)
    yield "| commands | |"
    yield "|---|---|"
    for said, commands in answers.items():
        yield f"| {', '.join(f'`{each}`' for each in commands)} | {said} |"


def _answer(command: str, refusal: str) -> str:
    """Return how far a command works that was refused; refusal: the name of a call, or words."""
    if command in PARTLY:
        return f"partly: {PARTLY[command]}"
    if refusal.startswith("vir"):
        why = next((why for call, why in ABSENT_REASONS.items() if call.startswith(refusal)), "not supported")
        return f"meaningless here: {why}"
    return f"meaningless here: `{refusal}`"


def taken_over(rows: Mapping[str, Row], news: Mapping[str, Row]) -> dict[str, Row]:
    """Return the record with what a run left; files of tests that no longer try a client are dropped."""
    said, result = marks(), dict(rows)
    for client, row in news.items():
        files = {*row.tests, *(rows[client].tests if client in rows else ())} & said.get(client, {}).keys()
        verdict, why = max(said.get(client, {}).values(), key=_badness, default=(row.verdict, row.why))
        result[client] = replace(row, verdict=verdict, why=why, tests=tuple(sorted(files)))
    return {client: row for client, row in result.items() if client in CLIENTS}


def main() -> None:
    """Take over what runs left, if their files are named; write the page."""
    rows = read(RECORD)
    for file in sys.argv[1:]:
        rows = taken_over(rows, read(Path(file)))
        write(RECORD, rows)
    PAGE.write_text(page(rows))


if __name__ == "__main__":
    main()
