"""What a test leaves for people to look at, such as pictures of a screen. Git ignores the place."""

import os
from pathlib import Path

ARTEFACTS_VARIABLE = "INSULA_TEST_ARTEFACTS"


def artefact(name: str) -> Path:
    """Return where to write an artefact: below `$INSULA_TEST_ARTEFACTS`, else `build/artefacts` of the checkout."""
    chosen = os.environ.get(ARTEFACTS_VARIABLE)
    directory = Path(chosen) if chosen else Path(__file__).parents[1] / "build/artefacts"
    directory.mkdir(parents=True, exist_ok=True)
    return directory / name
