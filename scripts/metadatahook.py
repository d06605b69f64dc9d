"""What the wheel says beside pyproject.toml: its links, and the README with links that lead somewhere from elsewhere.

The one address is a setting of the hook in pyproject.toml; files of the checkout are below it.
"""

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)(?:\./)?")
"""Where the target of a relative link begins."""


class ReadmeAndLinks(MetadataHookInterface):
    """Fills in `readme` and `urls`."""

    def update(self, metadata: dict[str, Any]) -> None:
        address = self.config["address"].rstrip("/")
        readme = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(readme, address)}
        metadata["urls"] = {
            "Homepage": address,
            "Documentation": f"{address}/docs/README.md",
            "Changelog": f"{address}/CHANGELOG.md",
        }


def absolute(readme: str, address: str) -> str:
    """Return a page of the checkout's top whose relative links begin with an address."""
    return LINK.sub(f"{address}/", readme)
