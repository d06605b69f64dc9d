"""Descriptions of a host's devices by their vendors: documents of the Container Device Interface, JSON or YAML.

What a document says that is not understood makes the devices unusable that it is about: an edit that silently did not
happen would be a device that does not work. Source: the interface's specification, `SPEC.md`, versions 0.3 to 1.1.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from insula.conversion.yamltree import YamlNode, read_yaml
from insula.engine.codec import loads
from insula.errors import InvalidArgumentError
from insula.model.devicegrants import CDI_NAME
from insula.model.visible import visible

SIZE_MAX = 1024 * 1024
"""Bytes of a document."""
DEVICES_MAX, EDITS_MAX = 4096, 1024
"""Devices of a document, and things that one of them changes of a kind."""
_ID_MAX = 2**32 - 2
_PATH_MAX = 4096
_VERSION = re.compile(r"(0\.[2-8]|1\.[0-9]{1,3})\.[0-9]{1,4}\Z")
_VARIABLE = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=([^\0\n]*)\Z")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,9}")
_OCTAL = re.compile(r"0o?([0-7]{1,6})")


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiNode:
    """A device node. kind: c or b, None: as the host's is; major, minor: None: the host's; mode, uid, gid: None: not
    said; access: letters of r, w, m."""

    path: str
    host: str
    kind: str | None = None
    major: int | None = None
    minor: int | None = None
    mode: int | None = None
    access: str = "rwm"
    uid: int | None = None
    gid: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiMount:
    """A file or directory of the host that is shown inside. kind: of file system, empty for a bind."""

    host: str
    inside: str
    options: tuple[str, ...] = ()
    kind: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiHook:
    """A program of the host that is to be run. moment: such as createContainer."""

    moment: str
    argv: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiEdits:
    """What a device is for a container. groups: the host's gids; unmet: what else it asks for, in words."""

    environment: tuple[tuple[str, str], ...] = ()
    nodes: tuple[CdiNode, ...] = ()
    mounts: tuple[CdiMount, ...] = ()
    hooks: tuple[CdiHook, ...] = ()
    groups: tuple[int, ...] = ()
    unmet: tuple[str, ...] = ()

    def joined(self, other: "CdiEdits") -> "CdiEdits":
        """Return both, without what stands twice."""

        def both(one: tuple[Any, ...], more: tuple[Any, ...]) -> tuple[Any, ...]:
            return tuple(dict.fromkeys((*one, *more)))

        return CdiEdits(**{name: both(getattr(self, name), getattr(other, name)) for name in self.__dataclass_fields__})


@dataclass(frozen=True, kw_only=True, slots=True)
class CdiDescription:
    """A document. kind: vendor/class; devices: what each one is by its name, what all share included."""

    kind: str
    version: str
    devices: Mapping[str, CdiEdits] = field(default_factory=dict)


def read_cdi(text: str, *, yaml: bool) -> CdiDescription:
    """Return the description in a document.

    Raises: InvalidArgumentError saying where it is wrong; OperationUnsupportedError for YAML without PyYAML.
    """
    if len(text) > SIZE_MAX:
        raise InvalidArgumentError(f"it has {len(text)} characters, more than {SIZE_MAX}")
    try:
        tree = _plain(read_yaml(text)) if yaml else loads(text)
    except ValueError as error:
        raise InvalidArgumentError(f"it is no JSON: {visible(str(error)[:200])}") from error
    return _CdiPlace("", tree).description()


def _plain(node: YamlNode) -> Any:
    if isinstance(node.value, str):
        return node.value
    if isinstance(node.value, Mapping):
        return {name: _plain(each) for name, each in node.value.items()}
    return [_plain(each) for each in node.value]


class _CdiPlace:
    """A place of a document, and what stands there. Its methods raise InvalidArgumentError with the place."""

    def __init__(self, name: str, value: Any) -> None:
        self._name = name
        self._value = value

    def description(self) -> CdiDescription:
        members = self._members({"cdiVersion", "kind", "annotations", "devices", "containerEdits"})
        version, kind = members["cdiVersion"].text(), members["kind"].text()
        if not _VERSION.match(version):
            raise self._wrong(f"version '{visible(version[:40])}' of the interface is not known; 0.2 to 0.8 and 1 are")
        if not CDI_NAME.match(f"{kind}=0"):
            raise self._wrong(f"'{visible(kind[:80])}' is no kind; a vendor and a class are, as vendor.com/gpu")
        shared = members["containerEdits"].edits()
        devices: dict[str, CdiEdits] = {}
        for each in members["devices"].items(DEVICES_MAX):
            own = each._members({"name", "annotations", "containerEdits"})
            name = own["name"].text()
            if not CDI_NAME.match(f"{kind}={name}"):
                raise each._wrong(f"'{visible(name[:80])}' is no name of a device")
            if name in devices:
                raise each._wrong(f"the device '{name}' stands twice")
            devices[name] = shared.joined(own["containerEdits"].edits())
        if not devices:
            raise self._wrong("it describes no device")
        return CdiDescription(kind=kind, version=version, devices=devices)

    def edits(self) -> CdiEdits:
        if self._value is None:
            return CdiEdits()
        known = {"env", "deviceNodes", "mounts", "hooks", "additionalGids", "additionalGIDs"}
        members = self._members(known | {"intelRdt"}, strict=False)
        unmet = [f"'{visible(name[:40])}', which is not known" for name in self._others(known | {"intelRdt"})]
        if members["intelRdt"]._value is not None:
            unmet.append("a class of the processor's cache (intelRdt)")
        groups = (*members["additionalGids"].items(EDITS_MAX), *members["additionalGIDs"].items(EDITS_MAX))
        return CdiEdits(
            environment=tuple(each._variable() for each in members["env"].items(EDITS_MAX)),
            nodes=tuple(each._node() for each in members["deviceNodes"].items(EDITS_MAX)),
            mounts=tuple(each._mount() for each in members["mounts"].items(EDITS_MAX)),
            hooks=tuple(each._hook() for each in members["hooks"].items(EDITS_MAX)),
            groups=tuple(each._required(each._number(_ID_MAX)) for each in groups),
            unmet=tuple(unmet),
        )

    def items(self, most: int) -> Sequence["_CdiPlace"]:
        if self._value is None:
            return ()
        if not isinstance(self._value, list):
            raise self._wrong("it is no list")
        if len(self._value) > most:
            raise self._wrong(f"it has {len(self._value)} members, more than {most}")
        return [_CdiPlace(f"{self._name}[{number}]", each) for number, each in enumerate(self._value)]

    def text(self) -> str:
        if not isinstance(self._value, str):
            raise self._wrong("it is missing, or no text")
        return self._value

    def _node(self) -> CdiNode:
        names = {"path", "hostPath", "type", "major", "minor", "fileMode", "permissions", "uid", "gid"}
        members = self._members(names)
        path = members["path"]._path()
        if not path.startswith("/dev/"):
            raise self._wrong(f"the node '{visible(path)}' would be outside of the guest's /dev")
        kind, access = members["type"]._optional(_CdiPlace.text), members["permissions"]._optional(_CdiPlace.text)
        if kind not in (None, "", "c", "u", "b"):
            raise self._wrong(f"a node of type '{visible(kind[:20])}' is no device")
        if access is not None and set(access) - set("rwm"):
            raise self._wrong(f"'{visible(access[:20])}' are no permissions: letters of r, w and m are")
        major, minor = members["major"]._number(2**12 - 1), members["minor"]._number(2**20 - 1)
        numbered = bool(kind) and bool(major or minor)
        mode = members["fileMode"]._mode()
        return CdiNode(
            path=path,
            host=members["hostPath"]._optional(_CdiPlace._path) or path,
            kind={"c": "c", "u": "c", "b": "b"}.get(kind or ""),
            major=(major or 0) if numbered else None,
            minor=(minor or 0) if numbered else None,
            mode=mode,
            access="".join(each for each in "rwm" if each in access) if access else "rwm",
            uid=members["uid"]._number(_ID_MAX),
            gid=members["gid"]._number(_ID_MAX),
        )

    def _mount(self) -> CdiMount:
        members = self._members({"hostPath", "containerPath", "options", "type"})
        return CdiMount(
            host=members["hostPath"]._path(),
            inside=members["containerPath"]._path(),
            options=tuple(each.text() for each in members["options"].items(64)),
            kind=members["type"]._optional(_CdiPlace.text) or "",
        )

    def _hook(self) -> CdiHook:
        members = self._members({"hookName", "path", "args", "env", "timeout"})
        path, arguments = members["path"]._path(), [each.text() for each in members["args"].items(EDITS_MAX)]
        return CdiHook(moment=members["hookName"].text(), argv=(path, *arguments[1:]))

    def _variable(self) -> tuple[str, str]:
        found = _VARIABLE.match(self.text())
        if found is None:
            raise self._wrong("it is no variable: NAME=value is one")
        return found[1], found[2]

    def _path(self) -> str:
        path = self.text()
        parts = path.split("/")
        odd = ".." in parts or "." in parts or "" in parts[1:] or len(path) > _PATH_MAX
        if odd or not path.startswith("/") or not path.isprintable():
            raise self._wrong(f"'{visible(path[:200])}' is no absolute path without '.', '..' and doubled slashes")
        return path

    def _number(self, most: int) -> int | None:
        """YAML has texts alone."""
        value = self._value
        if isinstance(value, str) and _NUMBER.fullmatch(value):
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= most):
            raise self._wrong(f"it is no whole number from 0 to {most}")
        return value

    def _mode(self) -> int | None:
        if isinstance(self._value, str) and (octal := _OCTAL.fullmatch(self._value)):
            return int(octal[1], 8) & 0o777
        number = self._number(2**32 - 1)
        return None if number is None else number & 0o777

    def _required(self, number: int | None) -> int:
        if number is None:
            raise self._wrong("it is no number")
        return number

    def _optional(self, read: Callable[["_CdiPlace"], str]) -> str | None:
        return None if self._value is None else read(self)

    def _members(self, names: set[str], *, strict: bool = True) -> dict[str, "_CdiPlace"]:
        """Return what stands by each of these names, whether it does or not."""
        if not isinstance(self._value, dict):
            raise self._wrong("it is no object")
        if strict and (others := list(self._others(names))):
            raise self._wrong(f"'{visible(others[0][:40])}' is not known")
        return {each: _CdiPlace(f"{self._name}.{each}".lstrip("."), self._value.get(each)) for each in names}

    def _others(self, names: set[str]) -> Iterator[str]:
        return (str(each) for each in self._value if each not in names)

    def _wrong(self, why: str) -> InvalidArgumentError:
        return InvalidArgumentError(f"{self._name}: {why}" if self._name else why)
