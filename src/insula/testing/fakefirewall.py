"""A packet filter that lets everything pass, for tests without a kernel's."""

from insula.errors import InsulaError


class FakeFirewall:
    """in_use: the filters that stand before ports; refilterings: how often they were asked to be what they say now;
    refusal: raised then."""

    def __init__(self, in_use: frozenset[str] = frozenset()) -> None:
        self.in_use = in_use
        self.refilterings = 0
        self.refusal: InsulaError | None = None

    def filters(self) -> frozenset[str]:
        return self.in_use

    def refilter(self) -> None:
        self.refilterings += 1
        if self.refusal is not None:
            raise self.refusal
