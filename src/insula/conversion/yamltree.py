"""YAML that others wrote, as plain texts with their lines: no tags, no aliases, no key twice, and an end to everything.

PyYAML reads it, where it is installed (Debian: python3-yaml); who needs no YAML needs no PyYAML.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from insula.conversion.foreigndocument import fault_at, quoted
from insula.errors import InvalidArgumentError, OperationUnsupportedError

if TYPE_CHECKING:
    import yaml

SIZE_MAX = 256 * 1024
"""Characters: what is made of them takes a good part of a second."""
DEPTH_MAX = 32
NODES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class YamlNode:
    """A text, a list, or texts and others by their names, with the line where it begins."""

    value: "str | tuple[YamlNode, ...] | Mapping[str, YamlNode]"
    line: int

    @property
    def text(self) -> str:
        """Its text; for anything else what it is, to be shown."""
        return self.value if isinstance(self.value, str) else "{…}" if isinstance(self.value, Mapping) else "[…]"

    def members(self) -> "Mapping[str, YamlNode]":
        """Return what it has by names; nothing for a text or a list."""
        return self.value if isinstance(self.value, Mapping) else {}

    def items(self) -> "tuple[YamlNode, ...]":
        return self.value if isinstance(self.value, tuple) else ()

    def find(self, *names: str) -> "YamlNode | None":
        """Return what stands at a place."""
        node: YamlNode | None = self
        for name in names:
            node = node.members().get(name) if node is not None else None
        return node


def read_yaml(text: str) -> YamlNode:
    """Return the one document in text, which has names at its top.

    Raises: InvalidArgumentError with the line; OperationUnsupportedError without PyYAML.
    """
    try:
        import yaml
    except ImportError as error:
        raise OperationUnsupportedError("YAML is read by PyYAML, which is not installed: python3-yaml") from error
    if len(text) > SIZE_MAX:
        raise InvalidArgumentError(f"the configuration has {len(text)} characters, more than {SIZE_MAX} of YAML")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    tree = _Tree()
    try:
        # Events alone: what PyYAML builds of them is built by recursion, in C without an end.
        for event in yaml.parse(text, Loader=loader):
            tree.take(event)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise fault_at(mark.line + 1 if mark else 1, f"no YAML: {quoted(error.problem or '')}") from error
    except (yaml.YAMLError, ValueError) as error:
        raise InvalidArgumentError(f"the configuration is no YAML: {quoted(str(error))}") from error
    root = tree.root
    if root is None or not isinstance(root.value, Mapping):
        raise fault_at(root.line if root is not None else 1, "the configuration has no names at its top")
    return root


@dataclass(slots=True)
class _Collection:
    """A list, or names and what belongs to them, while its parts come. name: the one that waits for its value."""

    line: int
    named: bool
    parts: list[YamlNode] = field(default_factory=list)
    members: dict[str, YamlNode] = field(default_factory=dict)
    name: str | None = None

    def add(self, node: YamlNode) -> None:
        if not self.named:
            self.parts.append(node)
        elif self.name is not None:
            self.members[self.name] = node
            self.name = None
        elif not isinstance(node.value, str) or node.value in self.members:
            raise fault_at(node.line, f"{quoted(node.text)} stands twice, or is no name")
        else:
            self.name = node.value

    def node(self) -> YamlNode:
        return YamlNode(self.members if self.named else tuple(self.parts), self.line)


class _Tree:
    """Makes a tree of a parser's events."""

    def __init__(self) -> None:
        self.root: YamlNode | None = None
        self._open: list[_Collection] = []
        self._count = 0

    def take(self, event: "yaml.Event") -> None:
        """Take what comes next. Raises: InvalidArgumentError with the line for what is not accepted."""
        line = event.start_mark.line + 1 if event.start_mark is not None else 1
        match type(event).__name__:
            case "AliasEvent":
                raise fault_at(line, "aliases are not accepted; write it out")
            case "ScalarEvent":
                self._add(YamlNode(cast("yaml.ScalarEvent", event).value, line))
            case "SequenceStartEvent" | "MappingStartEvent" as name:
                if len(self._open) == DEPTH_MAX:
                    raise fault_at(line, f"it nests deeper than {DEPTH_MAX} levels")
                self._open.append(_Collection(line, name.startswith("Mapping")))
            case "SequenceEndEvent" | "MappingEndEvent":
                self._add(self._open.pop().node())

    def _add(self, node: YamlNode) -> None:
        self._count += 1
        if self._count > NODES_MAX:
            raise fault_at(node.line, f"more than {NODES_MAX} values")
        if self._open:
            self._open[-1].add(node)
        elif self.root is not None:
            raise fault_at(node.line, "it is more than one document")
        else:
            self.root = node


def write_yaml(tree: Mapping[str, object], comments: Iterable[str]) -> str:
    """Return a tree of texts, numbers, truths and further trees as YAML; texts stand in quotes, as JSON has them."""
    lines = [f"# {each}" for each in comments]
    lines += _lines(tree, "")
    return "\n".join([*lines, ""])


def _lines(tree: Mapping[str, object], indent: str) -> Iterable[str]:
    for name, value in tree.items():
        key = name if name.replace(".", "").replace("_", "").isalnum() and name.isascii() else _quoted(name)
        if isinstance(value, Mapping) and value:
            yield f"{indent}{key}:"
            yield from _lines(value, f"{indent}  ")
        else:
            yield f"{indent}{key}: {_quoted(value)}"


def _quoted(value: object) -> str:
    """Return a value as JSON, which YAML takes, but for the pairs of halves that JSON makes of far characters."""
    return "".join(
        each if each.isprintable() else f"\\U{ord(each):08x}" for each in json.dumps(value, ensure_ascii=False)
    )
