"""What the wheel says of itself, and what it may be installed beside."""

import email
import re
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hatchling.builders.wheel import WheelBuilder
from packaging.requirements import Requirement
from packaging.version import Version

from insula.storage.idpools import DEFAULT_POOLS

CHECKOUT = Path(__file__).parents[1]
DEBIAN_12 = {"jeepney": "0.8.0", "lxml": "4.9.2", "rich": "13.3.1", "hatchling": "1.12.2"}
"""What `apt` has there: packages of the distribution satisfy ours."""


def project() -> dict[str, Any]:
    return tomllib.loads((CHECKOUT / "pyproject.toml").read_text())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    return Path(next(WheelBuilder(str(CHECKOUT)).build(directory=str(directory))))


def test_what_it_needs_is_in_debian_12() -> None:
    needed = [*project()["project"]["dependencies"], *project()["build-system"]["requires"]]
    requirements = {each.name: each for each in map(Requirement, needed)}
    assert requirements.keys() == DEBIAN_12.keys()
    for name, each in requirements.items():
        assert each.specifier.contains(Version(DEBIAN_12[name])), f"{each} is newer than Debian 12's {DEBIAN_12[name]}"


def test_a_wheel_says_what_it_is_and_its_page_has_no_dead_links(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as content:
        (name,) = (each for each in content.namelist() if each.endswith("dist-info/METADATA"))
        said = email.message_from_bytes(content.read(name))
        names = content.namelist()
    assert said["Name"] == "insula"
    assert "Typing :: Typed" in said.get_all("Classifier", [])
    assert {each.split(",")[0] for each in said.get_all("Project-URL", [])} == {
        "Homepage",
        "Documentation",
        "Changelog",
    }
    page = str(said.get_payload())
    links = re.findall(r"\]\(([^)]+)\)", page)
    assert len(links) >= 3
    assert [each for each in links if not each.startswith(("https://", "#"))] == []
    assert {"insula/py.typed", "insula/__main__.py"} <= set(names)
    # Those that scripts/build-web fetched too, which git does not know.
    assets = CHECKOUT / "src/insula/cli/webassets"
    assert {f"insula/cli/webassets/{each.name}" for each in assets.iterdir()} <= set(names)


def test_a_purge_knows_the_ids_that_the_package_claims() -> None:
    script = (CHECKOUT / "packaging/debian/insula.postrm").read_text()
    bounds = re.findall(r'"\$first" -ge (\d+) \] && \[ "\$last" -lt (\d+) \]', script)
    assert {(int(first), int(stop)) for first, stop in bounds} == {(each.start, each.stop) for each in DEFAULT_POOLS}
