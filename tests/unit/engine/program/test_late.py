import json

import pytest

from insula.engine import codec
from insula.engine.program.disassembly import Disassembly
from insula.engine.program.late import Late, shape_of
from insula.engine.steps.guest.namespaces import SetHostname
from insula.engine.steps.guest.roottree import MakeFile
from tests.players import builder


def test_a_late_text_is_a_text() -> None:
    assert (Late("web"), json.dumps(Late("web"))) == ("web", '"web"')
    assert codec.encode(SetHostname(why="-", name=Late("web"))) == {"why": "-", "name": "web"}


def test_steps_have_the_same_shape_if_they_differ_in_late_texts_and_reasons() -> None:
    first = shape_of([SetHostname(why="a", name=Late("web")), MakeFile(why="b", path="x", content=Late("y"))])
    second = shape_of([SetHostname(why="c", name=Late("mail")), MakeFile(why="d", path="x", content=Late("z"))])
    third = shape_of([SetHostname(why="a", name="web"), MakeFile(why="b", path="x", content=Late("y"))])
    assert first[0] == second[0] != third[0]
    assert (first[1], second[1]) == (["web", "y"], ["mail", "z"])


def test_a_template_is_filled_with_texts_of_any_length() -> None:
    text = Late("web")
    program = builder(lates=[text])
    program.write(1, text)
    program.call("sethostname", program.text(text), program.size(text))
    program.open_staged("root")
    template = program.finished_template()
    for word in ("web", "", "x" * 1000):
        lines = list(Disassembly(template.filled([word], ()).image).lines())
        assert lines[0] == f'write(1, "{word}", {_shown(len(word))}) = {len(word)}'
        assert lines[1] == f'sethostname("{word}", {_shown(len(word))})'


def test_a_late_text_with_a_zero_is_refused() -> None:
    text = Late("web")
    program = builder(lates=[text])
    program.text(text)
    with pytest.raises(ValueError, match="zero"):
        program.finished_template().filled(["a\0b"], ())


def _shown(number: int) -> str:
    return str(number) if number < 10 else hex(number)
