import sys

import pytest

from insula.conversion.yamltree import DEPTH_MAX, NODES_MAX, SIZE_MAX, YamlNode, read_yaml, write_yaml
from insula.errors import InvalidArgumentError, OperationUnsupportedError

BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


def test_all_is_text_with_its_line() -> None:
    tree = read_yaml("a: yes\nb:\n  c: 0x10\n  d: [1, two]\n")
    assert (tree.members()["a"], tree.find("b", "c")) == (YamlNode("yes", 1), YamlNode("0x10", 3))
    found = tree.find("b", "d")
    assert found is not None and [each.text for each in found.items()] == ["1", "two"]
    assert (tree.find("b", "nothing"), tree.find("a", "x"), found.text) == (None, None, "[…]")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "- a\n",
        "a: [",
        "a: 1\na: 2\n",
        "? [x]\n: y\n",
        "a: 1\n---\nb: 2\n",
        "\x07",
        BOMB,
        "a: &x\n  b: *x\n",
        "a: " + "[" * (DEPTH_MAX + 2) + "]" * (DEPTH_MAX + 2),
        "a: " + "[" * 50_000,
        "a: [" + "1," * (NODES_MAX + 1) + "]",
        "a: " + "x" * SIZE_MAX,
    ],
    ids=range(14),
)
def test_what_is_no_plain_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidArgumentError):
        read_yaml(text)


def test_tags_make_nothing() -> None:
    assert read_yaml("a: !!python/object/apply:os.system ['true']\n").find("a") is not None
    assert read_yaml("a: !!binary x\n").members()["a"].text == "x"


def test_what_is_written_is_read_as_it_was() -> None:
    odd = "\x7f\x85 é \U0001f600 \u202e \\ \" ' # : \n\t"
    tree = {"name": odd, "a.b_c": "1", odd: "x", "empty": {}, "below": {"truth": True, "text": "yes"}}
    found = read_yaml(write_yaml(tree, ["first", "second"]))
    assert [found.members()[each].text for each in ("name", "a.b_c", odd)] == [odd, "1", "x"]
    assert found.find("below", "truth") is not None and found.members()["empty"].members() == {}


def test_who_has_no_pyyaml_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(OperationUnsupportedError, match="python3-yaml"):
        read_yaml("a: 1")
