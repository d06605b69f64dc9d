"""Documents that clients, files and the keeper's peers hold out: XML, JSON, TOML, names and lists of ids."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from insula.daemon import config
from insula.daemon.dispatch.nativecalls import _exec_request
from insula.engine.enter.callinside import _understood
from insula.engine.keeper.protocol import decode as decode_message
from insula.engine.launch.runningcontainer import ContainerRecord
from insula.engine.plan.plan import LaunchPlan
from insula.errors import ConfigurationError, InsulaError, InvalidArgumentError, UnsupportedConfigError, XmlError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.model.network import dump_network, load_network
from insula.model.networkchecks import network_problems
from insula.model.numbers import XmlFlags
from insula.model.validate import UNREADABLE, problems
from insula.model.xmlmap import Part
from insula.service.images import recipe_of
from insula.service.runrecord import RunRecord
from insula.storage.idjournal import IdJournal
from insula.storage.imagestore import check_name
from tests.fuzz.mutation import JsonMutator, XmlMutator, edited
from tests.fuzz.target import BrokenError, One
from tests.plans import CASES

DATA = Path(__file__).parents[1] / "data"
Inputs = Callable[[], bytes]

# Domain and network XML

DOMAINS = [each.read_text() for each in sorted((DATA / "domains").glob("*.xml"))]


NETWORKS = [each.read_text() for each in sorted((DATA / "networks").glob("*.xml"))]


def domains(chance: Random) -> Inputs:
    """Make domain XML out of the corpus: by its tags and values, and by its bytes."""
    return _documents(DOMAINS, chance)


def networks(chance: Random) -> Inputs:
    """Make network XML likewise."""
    return _documents(NETWORKS, chance)


def _documents(corpus: list[str], chance: Random) -> Inputs:
    by_token = XmlMutator(corpus, chance)
    raw = [each.encode() for each in corpus]

    def make() -> bytes:
        if chance.random() < 0.2:
            return edited(raw[int(chance.random() * len(raw))], chance, raw)
        return by_token().encode(errors="surrogateescape")

    return make


def network_xml(data: bytes) -> None:
    """XML is refused with XmlError, or is a network that can be judged, written, and read again as the same."""
    try:
        network = load_network(data.decode(errors="surrogateescape"))
    except (XmlError, UnsupportedConfigError):
        return
    unreadable = any(each.startswith(UNREADABLE) for each in network_problems(network))
    for parts in (Part.DEFINITION, Part.LIVE):
        try:
            text = dump_network(network, parts)
        except InvalidArgumentError:
            return
        try:
            again = load_network(text)
        except (XmlError, UnsupportedConfigError) as error:
            if unreadable:
                return
            raise BrokenError(f"it is written so that nobody can read it: {error}") from error
        if (second := dump_network(again, parts)) != text:
            raise BrokenError(f"written again it is another: {_difference(text, second)}")


_WHOLE = XmlFlags.INACTIVE | XmlFlags.SECURE


def domain_xml(data: bytes) -> None:
    """XML is refused with XmlError, or is a domain that can be judged, written, and read again as the same.

    What would be too large when it is written is among what the judges find, and is not defined.
    """
    try:
        domain = DomainDefinition.load(data.decode(errors="surrogateescape"))
    except (XmlError, UnsupportedConfigError):
        return
    unreadable = any(each.startswith(UNREADABLE) for each in problems(domain))
    for flags in (_WHOLE, XmlFlags.LIVE):
        try:
            text = domain.dump(flags)
        except InvalidArgumentError:
            return
        try:
            again = DomainDefinition.load(text)
        except (XmlError, UnsupportedConfigError) as error:
            if unreadable:
                return
            raise BrokenError(f"it is written so that nobody can read it: {error}") from error
        if (second := again.dump(flags)) != text:
            raise BrokenError(f"written again it is another: {_difference(text, second)}")


def _difference(one: str, other: str) -> str:
    lines = [pair for pair in zip(one.splitlines(), other.splitlines(), strict=False) if pair[0] != pair[1]]
    return f"{lines[:1]}"


# JSON

PLANS: list[dict[str, Any]] = [json.loads(each.read_text()) for each in sorted((DATA / "plans").glob("*.json"))]


def _loaded(data: bytes) -> Any:
    """Return JSON as whoever writes such a file or message makes it; None for what is none."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def plans(chance: Random) -> Inputs:
    return JsonMutator(PLANS, chance)


def plan(data: bytes) -> None:
    """A plan is refused with ValueError, KeyError or TypeError, or prints, and survives JSON."""
    content = _loaded(data)
    try:
        decoded = LaunchPlan.decode(content)
    except (ValueError, KeyError, TypeError):
        return
    _survives(decoded.encode(), lambda again: LaunchPlan.decode(again).encode())


def _survives(encoded: Any, through: Callable[[Any], Any]) -> None:
    if (again := through(json.loads(json.dumps(encoded)))) != encoded and repr(again) != repr(encoded):
        raise BrokenError("encoded again it is another")


_CONTAINERS: list[Any] = [
    ContainerRecord(spec=each.spec, id=7, pid=7, born=1, boot="x", group="g").encode() for each in CASES
]


def containers(chance: Random) -> Inputs:
    return JsonMutator(_CONTAINERS, chance)


def container(data: bytes) -> None:
    """A container's record is refused with ValueError, or survives JSON."""
    content = _loaded(data)
    try:
        decoded = ContainerRecord.decode(content)
    except ValueError:
        return
    _survives(decoded.encode(), lambda again: ContainerRecord.decode(again).encode())


_RUN = {
    "format": 1,
    "uuid": "0b9b8d9e-0000-4000-8000-00163e000001",
    "name": "web",
    "boot_id": "b",
    "phase": "running",
    "begun": 1.0,
    "container": _CONTAINERS[0],
    "intent": {"uuid": "u", "launch": "a1", "holdings": [{"kind": "ControlGroup", "path": "a/b", "made": False}]},
    "autodestroy": False,
    "ephemeral": False,
    "again": False,
    "restarts": 0,
    "resumed": False,
    "asked": None,
    "reason": None,
    "status": None,
    "next": "off",
}


def runs(chance: Random) -> Inputs:
    return JsonMutator([_RUN, {**_RUN, "phase": "ending", "reason": "shutdown", "status": 9}], chance)


def run_record(data: bytes) -> None:
    """A run's record is refused with ValueError, KeyError or TypeError, or survives JSON."""
    try:
        record = RunRecord.from_json(data.decode(errors="replace"))
    except (ValueError, KeyError, TypeError):
        return
    if repr(RunRecord.from_json(record.to_json())) != repr(record):
        raise BrokenError("written again it is another")


_REQUESTS = (
    {"argv": ["sh", "-c", "x"], "env": {"A": "b"}, "cwd": "/", "user": "root", "group": "wheel", "tty": False},
    {"argv": ["sh"], "tty": True, "rows": 24, "columns": 80, "capabilities": ["chown"]},
)


def requests(chance: Random) -> Inputs:
    return JsonMutator(_REQUESTS, chance)


def exec_request(data: bytes) -> None:
    """A client's request for a process is refused with InvalidArgumentError, or has texts without zero bytes."""
    try:
        wanted = _exec_request(data.decode(errors="replace"))
    except InvalidArgumentError:
        return
    process = wanted.process
    pairs = [text for pair in process.env for text in pair]
    for each in (*process.argv, *pairs, process.cwd or "", process.user or "", process.group or ""):
        if b"\0" in os.fsencode(each):
            raise BrokenError("a zero byte got through")


_MESSAGES = (
    {"request": 1, "verb": "hello", "version": "0.1.0"},
    {"request": 2, "verb": "kill", "uuid": "u", "fds": []},
    {"answer": 3, "error": {"text": "no", "errno": 2, "step": 1}},
    {"event": "exited", "uuid": "u", "status": 9},
)


def messages(chance: Random) -> Inputs:
    return JsonMutator(_MESSAGES, chance)


def message(data: bytes) -> None:
    """A datagram between daemon and keeper is refused with ValueError, or is an object."""
    try:
        decoded = decode_message(data, [])
    except ValueError:
        return
    if not isinstance(decoded.body, dict) or decoded.fds:
        raise BrokenError("something else than an object")


def visits(chance: Random) -> Inputs:
    return JsonMutator(({"result": [1, {"a": "b"}]}, {"error": "x"}, {"type": "y"}), chance)


def visit(data: bytes) -> None:
    """What a function said from inside a guest is refused with our own errors."""
    try:
        _understood(data, 0)
    except InsulaError:
        return


def recipes(chance: Random) -> Inputs:
    return JsonMutator(
        (
            {"recipe": "debian-12", "packages": ["vim", "less"], "mirror": "http://x/"},
            {"recipe": "busybox", "applets": "ls"},
        ),
        chance,
    )


def recipe(data: bytes) -> None:
    """A recipe is refused with our own errors."""
    try:
        recipe_of("debian-12", data.decode(errors="replace"))
    except InsulaError:
        return


def id_lists(chance: Random) -> Inputs:
    line = JsonMutator(({"domain": "0b9b8d9e-0000-4000-8000-00163e000001", "ids": [65536, 65536]},), chance)
    first = b'{"format": 2}\n{"domain": "0b9b8d9e-0000-4000-8000-00163e000002", "ids": [1, 65536]}\n'
    return lambda: edited(first + line() + b"\n" + line() + b"\n", chance, [b"\n", b"null"])


def id_list(data: bytes) -> None:
    """The list of domains' ids is refused with ValueError, or gives no id twice."""
    try:
        journal = IdJournal(Path())
        journal._apply(data)
        ranges = journal._given
    except ValueError:
        return
    if len({number for each in ranges.values() for number in (each.start, each.stop - 1)}) < len(ranges):
        raise BrokenError("an id is given twice")


# Words and tables

_NAMES = [b"debian-12", b"busybox", b"a.b_c+d", b"x" * 64]


def names(chance: Random) -> Inputs:
    return lambda: edited(_NAMES[int(chance.random() * len(_NAMES))], chance, [*_NAMES, b"../", b"\n", b"\0", b"/"])


def image_name(data: bytes) -> None:
    """An image's name is refused with InvalidArgumentError, or can be a directory's and nothing else."""
    name = data.decode(errors="surrogateescape")
    try:
        check_name(name)
    except InvalidArgumentError:
        return
    if name in ("", ".", "..") or "/" in name or not name.isprintable() or name[0] == "." or len(name) > 64:
        raise BrokenError(f"{name!r} may name an image")


_SETTINGS = [
    b'log_level = "info"\nmax_clients = 50\n[keepalive]\ninterval = 5\ncount = 5\n',
    b'[[socket]]\npath = "run/x"\nmode = 0o660\ngroup = "libvirt"\n[[socket]]\npath = "y"\nread_only = true\n',
    b"[ids]\nfirst = 1000000\ncount = 65536000\n",
    b"max_clients = " + b"1" * 5000,
    b"x = " + b"[" * 3000,
]


def settings(chance: Random) -> Inputs:
    return lambda: edited(_SETTINGS[int(chance.random() * len(_SETTINGS))], chance, _SETTINGS)


def daemon_settings(data: bytes) -> None:
    """The daemon's settings are refused with ConfigurationError, which names the file."""
    try:
        config.parse(data.decode(errors="replace"), Layout.system(), name="insulad.toml")
    except ConfigurationError as error:
        if "insulad.toml" not in str(error):
            raise BrokenError("the error does not name the file") from error


@contextmanager
def in_directory(one: Callable[[Path, bytes], None]) -> Iterator[One]:
    """A world for what reads files: a directory of its own."""
    with TemporaryDirectory(prefix="fuzz-") as name:
        yield lambda data: one(Path(name), data)
