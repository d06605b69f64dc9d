from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated

import pytest

from insula.errors import XmlError
from insula.model.foreign import ForeignElement, Markup
from insula.model.sizes import Bytes, KiB
from insula.model.xmlmap import Attribute, Element, Foreign, Mapped, Name, Part, Place, Text, always
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


class Fruit(StrEnum):
    APPLE = "apple"
    PEAR = "pear"


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed(Mapped):
    fruit: Annotated[Fruit, Name()]
    weight: Annotated[int, Attribute("weight")]


@dataclass(frozen=True, kw_only=True, slots=True)
class Label(Mapped):
    colour: Annotated[Colour, Attribute("colour")] = Colour.RED
    text: Annotated[str, Text()]


@dataclass(frozen=True, kw_only=True, slots=True)
class Basket(Mapped):
    id: Annotated[int | None, Attribute("id", live=always)] = None
    space: Annotated[Bytes | None, Attribute("space", unit="units")] = None
    name: Annotated[str, Element("name")]
    memory: Annotated[KiB | None, Element("memory", unit="unit")] = None
    owner: Annotated[str | None, Element("owner", attribute="name")] = None
    label: Annotated[Label | None, Element("label")] = None
    closed: Annotated[bool, Element("closed")] = False
    stickers: Annotated[tuple[Colour, ...], Element("sticker")] = ()
    fruits: Annotated[tuple[Weighed, ...], Element("apple", others=("pear",))] = ()
    tty: Annotated[str | None, Element("tty", live=always)] = None
    depth: Annotated[int | None, Element("depth", within=(4, 9), zero_is_none=True)] = None


def basket(inside: str, attributes: str = "", parts: Part = Part.DEFINITION) -> Basket:
    return load(Basket, "basket", f"<basket{attributes}><name>x</name>{inside}</basket>", parts)


def test_each_kind_of_fact_is_read() -> None:
    value = basket(
        "<memory unit='MiB'>2</memory><owner name='Ada'/><label colour='blue'>L</label><closed/>"
        "<sticker>red</sticker><pear weight='3'/><sticker>blue</sticker><apple weight='4'/>",
        " space='2' units='k'",
    )
    assert value == Basket(
        name="x",
        space=Bytes(2048),
        memory=KiB(2048),
        owner="Ada",
        label=Label(colour=Colour.BLUE, text="L"),
        closed=True,
        stickers=(Colour.RED, Colour.BLUE),
        fruits=(Weighed(fruit=Fruit.PEAR, weight=3), Weighed(fruit=Fruit.APPLE, weight=4)),
    )


def test_a_size_without_a_unit_is_in_the_unit_of_its_type() -> None:
    assert basket("<memory>7</memory>", " space='9'").memory == 7
    assert basket("", " space='9'").space == 9


def test_what_only_lives_is_read_only_with_the_live_part() -> None:
    assert basket("<tty>/dev/pts/1</tty>", " id='5'") == Basket(name="x")
    value = basket("<tty>/dev/pts/1</tty>", " id='5'", Part.LIVE)
    assert (value.id, value.tty) == (5, "/dev/pts/1")


def test_what_nobody_claims_is_kept_with_its_place() -> None:
    value = basket("<owner name='Ada' since='1843'><badge/></owner><worm/><closed/><!-- end -->", " shape='round'")
    places = [(each.place, getattr(each.item, "name", None)) for each in value.foreign]
    assert places == [
        (Place(), "shape"),
        (Place(inside=("owner", 1)), "since"),
        (Place(inside=("owner", 1)), "badge"),
        (Place(after=("owner", 1)), "worm"),
        (Place(after=("closed", 1)), None),
    ]


def test_a_comment_belongs_to_what_follows_it() -> None:
    assert basket("<!-- shut --><closed/>").foreign == (Foreign(Place(before=("closed", 1)), Markup("<!-- shut -->")),)
    assert basket("<!-- a --><worm/>").foreign == (
        Foreign(Place(after=("name", 1)), Markup("<!-- a -->")),
        Foreign(Place(after=("name", 1)), ForeignElement(name="worm")),
    )


def test_the_order_of_what_is_understood_makes_no_difference() -> None:
    assert basket("<worm/><closed/><owner name='Ada'/>") != basket("<owner name='Ada'/><closed/><worm/>")
    assert basket("<closed/><rust/><owner name='Ada'/><worm/>") == basket("<owner name='Ada'/><worm/><closed/><rust/>")


def test_a_text_between_elements_is_kept_where_it_stands() -> None:
    read = basket("\n one &amp; <closed/> two <!-- three --> four")
    assert [each.item for each in read.foreign] == [
        Markup("one &amp;"), Markup("two"), Markup("<!-- three -->"), Markup("four"),
    ]  # fmt: skip
    written = dump(read, "basket")
    assert load(Basket, "basket", written) == read
    assert [line.strip() for line in written.splitlines()[2:-1]] == [
        "one &amp;", "<closed/>", "two", "<!-- three -->", "four",
    ]  # fmt: skip


@pytest.mark.parametrize("inside", ["<memory/>", "<memory> </memory>", "<owner/>", "<depth>0</depth>"])
def test_an_element_that_says_nothing_is_none(inside: str) -> None:
    assert basket(inside) == basket("")


@pytest.mark.parametrize("inside", ["<memory slots='4'/>", "<owner since='1066'/>", "<depth colour='red'>0</depth>"])
def test_what_an_element_that_says_nothing_has_besides_is_kept(inside: str) -> None:
    assert inside in dump(basket(inside), "basket")
    assert basket(inside) == replace(basket(""), foreign=basket(inside).foreign)


def test_a_comment_inside_a_text_does_not_tear_it() -> None:
    assert basket("<label>one<!-- and -->two</label>").label == Label(text="onetwo")


@pytest.mark.parametrize(
    ("inside", "text"),
    [
        (
            "\n<memory>lots</memory>",
            "line 2: /basket/memory: found 'lots', expected a size: a whole number, with a unit",
        ),
        ("<memory unit='floppies'>1</memory>", "line 1: /basket/memory: found '1', expected a size"),
        ("<memory unit='E'>99</memory>", "/basket/memory: found '99', expected a size"),
        (
            "\n\n<label colour='grün'>x</label>",
            "line 3: /basket/label/@colour: found 'grün', expected one of 'red', 'blue'",
        ),
        ("<sticker>red</sticker><sticker/>", "/basket/sticker[2]: found '', expected one of 'red', 'blue'"),
        ("<apple/>", "/basket/apple: has no attribute 'weight', expected a whole number"),
        ("<closed/>\n<closed/>", "line 2: /basket/closed[2]: <closed> stands here a second time, expected one"),
        ("<owner name='a'>stray</owner>", "/basket/owner: found the text 'stray', expected nothing in it"),
    ],
)
def test_a_fault_names_line_place_finding_and_expectation(inside: str, text: str) -> None:
    with pytest.raises(XmlError) as error:
        basket(inside)
    assert text in str(error.value)


def test_a_required_element_that_is_missing_is_named() -> None:
    with pytest.raises(XmlError, match=r"line 2: /basket: has no <name> in it, expected text"):
        load(Basket, "basket", "\n<basket/>")


def test_another_root_is_refused() -> None:
    with pytest.raises(XmlError, match=r"the document is a <bag>, expected a <basket>"):
        load(Basket, "basket", "<bag/>")
    with pytest.raises(XmlError, match=r"expected a <basket>"):
        load(Basket, "basket", "<basket xmlns='urn:other'><name>x</name></basket>")
