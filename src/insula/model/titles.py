"""Titles: one line that people read in a list, so that nothing in it may be unseen."""

from collections.abc import Iterator

from insula.model.scalars import unprintable

TITLE_SPACES = "\t\u00a0\u200c\u200d"
"""What a title may hold besides what is seen: spaces, and what joins letters or signs to one."""


def title_problems(title: str | None) -> Iterator[str]:
    """Yield what is wrong with a title."""
    if title and "\n" in title:
        yield "the title has several lines; put the rest into the description"
    elif title and (odd := unprintable(title, allowed=TITLE_SPACES)):
        yield f"the title holds {odd}, which nobody sees; take it out"
