import pytest

from insula.model.networknames import DnsText, NetworkDns
from insula.model.xmlchildren import with_changed_child, with_child, without_child
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump

DNS = """\
<dns>
  <!--of a-->
  <txt name='a' value='1'/>
  <strange/>
  <txt name='b' value='2'/>
  <!--of c-->
  <txt name='c' value='3'/>
</dns>
"""
NEW = DnsText(name="n", value="9")


def lines(dns: NetworkDns) -> list[str]:
    assert load(NetworkDns, "dns", dump(dns, "dns")) == dns
    return [line.strip() for line in dump(dns, "dns").splitlines()[1:-1]]


@pytest.fixture
def dns() -> NetworkDns:
    return load(NetworkDns, "dns", DNS)


A, B, C, N = (f"<txt name='{name}' value='{value}'/>" for name, value in ("a1", "b2", "c3", "n9"))


def test_a_child_is_added_at_the_end_or_the_beginning(dns: NetworkDns) -> None:
    before = lines(dns)
    assert lines(with_child(dns, "texts", NEW)) == [*before, N]
    assert lines(with_child(dns, "texts", NEW, first=True)) == [N, *before]


def test_a_changed_child_keeps_what_stands_around_it(dns: NetworkDns) -> None:
    assert lines(with_changed_child(dns, "texts", 1, NEW)) == ["<!--of a-->", A, "<strange/>", N, "<!--of c-->", C]


@pytest.mark.parametrize(
    ("index", "left"),
    [
        (0, ["<strange/>", B, "<!--of c-->", C]),
        (1, ["<!--of a-->", A, "<strange/>", "<!--of c-->", C]),
        (2, ["<!--of a-->", A, "<strange/>", B]),
    ],
)
def test_a_child_that_goes_takes_its_comment_along_and_nothing_of_others(
    dns: NetworkDns, index: int, left: list[str]
) -> None:
    assert lines(without_child(dns, "texts", index)) == left
