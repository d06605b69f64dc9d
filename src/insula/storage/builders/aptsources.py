"""The host's apt sources, read in both styles, turned into those of another release of the same distribution.

Source: sources.list(5).
"""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_DEFAULT_DIRECTORY = Path("/etc/apt")
_ONE_LINE = re.compile(r"deb(?P<source>-src)?\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<rest>.+)\Z")
_SPECIAL_NAMES = {"arch": "Architectures", "lang": "Languages", "target": "Targets"}
_NOT_OPTIONS = frozenset({"types", "uris", "suites", "components", "enabled"})
_NO = frozenset({"no", "false", "0", "off", "without", "disable"})
_KEPT_SUFFIXES = ("", "-updates", "-security")
"""What of a release a guest gets; backports and proposed updates are the administrator's own choice."""
_ALIASES = ("stable", "oldstable", "testing")
_ARCHIVE_KEYRINGS = ("debian-archive", "ubuntu-archive")


@dataclass(frozen=True, kw_only=True, slots=True)
class AptSource:
    """One or more archives. options: deb822 field names and values, such as Signed-By."""

    uris: tuple[str, ...]
    suites: tuple[str, ...]
    components: tuple[str, ...]
    options: tuple[tuple[str, str], ...] = ()

    def option(self, name: str) -> str:
        """Return an option's value, empty if it is not given."""
        return next((value for key, value in self.options if key.lower() == name.lower()), "")

    def deb822(self) -> str:
        """Return the stanza for a `.sources` file."""
        fields = {
            "Types": "deb",
            "URIs": " ".join(self.uris),
            "Suites": " ".join(self.suites),
            "Components": " ".join(self.components),
            **dict(self.options),
        }
        return "".join(f"{name}: {value}\n" for name, value in fields.items())


def render(sources: Iterable[AptSource]) -> str:
    """Return the text of a `.sources` file."""
    return "\n".join(source.deb822() for source in sources)


def host_sources(directory: Path = _DEFAULT_DIRECTORY) -> list[AptSource]:
    """Return the enabled sources of binary packages, in the order in which apt reads them."""
    found: list[AptSource] = []
    main = directory / "sources.list"
    parts = directory / "sources.list.d"
    files = [main] if main.is_file() else []
    if parts.is_dir():
        files += sorted(each for each in parts.iterdir() if each.suffix in (".list", ".sources") and each.is_file())
    for path in files:
        text = path.read_text(errors="replace")
        found += parse_deb822(text) if path.suffix == ".sources" else parse_one_line(text)
    return found


def parse_one_line(text: str) -> list[AptSource]:
    """Return the binary sources of a file in one-line style; lines that are none are left to apt to complain about."""
    found = []
    for line in text.splitlines():
        match = _ONE_LINE.match(line.partition("#")[0].strip())
        if match is None or match["source"]:
            continue
        suite, *components = match["rest"].split()
        options = tuple(_long_option(each) for each in (match["options"] or "").split() if "=" in each)
        found.append(AptSource(uris=(match["uri"],), suites=(suite,), components=tuple(components), options=options))
    return found


def _long_option(word: str) -> tuple[str, str]:
    name, _, value = word.partition("=")
    name = name.rstrip("+-").lower()
    long = _SPECIAL_NAMES.get(name) or "-".join(part.capitalize() for part in name.split("-"))
    return long, value.replace(",", " ")


def parse_deb822(text: str) -> list[AptSource]:
    """Return the enabled binary sources of a file in deb822 style. Values that go on over lines keep their lines."""
    found = []
    for fields in _stanzas(text):
        lower = {name.lower(): value for name, value in fields.items()}
        if "deb" not in lower.get("types", "").split() or lower.get("enabled", "yes").lower() in _NO:
            continue
        found.append(
            AptSource(
                uris=tuple(lower.get("uris", "").split()),
                suites=tuple(lower.get("suites", "").split()),
                components=tuple(lower.get("components", "").split()),
                options=tuple((name, value) for name, value in fields.items() if name.lower() not in _NOT_OPTIONS),
            )
        )
    return found


def _stanzas(text: str) -> Iterator[Mapping[str, str]]:
    fields: dict[str, str] = {}
    last = ""
    for line in (*text.splitlines(), ""):
        if line.startswith("#"):
            continue
        if not line.strip():
            if fields:
                yield fields
            fields, last = {}, ""
        elif line[0] in " \t" and last:
            fields[last] += f"\n{line}"
        elif ":" in line:
            last, _, value = line.partition(":")
            fields[last] = value.strip()


def origins() -> Mapping[tuple[str, str], str]:
    """Return who says to be behind each archive (`Debian`, …), by address and suite, as far as apt has its lists.

    apt's signed Release files know it best: a third party's archive may carry the same suite and component names.
    """
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(ORIGIN)", "Created-By: Packages"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    known = {}
    for line in answer.splitlines():
        uri, release, *origin = line.split(" ")
        if origin and not origin[0].startswith("$("):
            known[uri.rstrip("/"), release] = " ".join(origin)
    return known


def sources_for(
    suite: str,
    sources: Sequence[AptSource],
    host_codename: str,
    known_origins: Mapping[tuple[str, str], str],
    distribution: str,
) -> list[AptSource]:
    """Return the distribution's own sources among the host's, for another suite.

    distribution: the origin to look for, `Debian` or `Ubuntu`. Empty if there are none.
    """
    found = []
    for source in sources:
        suites = tuple(
            f"{suite}{suffix}"
            for each in source.suites
            if (suffix := _suffix(each, host_codename)) is not None
            and _is_distributions_own(source, each, known_origins, distribution)
        )
        if suites:
            found.append(replace(source, suites=suites))
    return found


def _suffix(suite: str, codename: str) -> str | None:
    """Return what follows the release's name in a suite, None if it is another release or nothing for a guest."""
    for name in (codename, *_ALIASES):
        if suite.startswith(name) and suite[len(name) :] in _KEPT_SUFFIXES:
            return suite[len(name) :]
    return None


def _is_distributions_own(
    source: AptSource, suite: str, known_origins: Mapping[tuple[str, str], str], distribution: str
) -> bool:
    origin = next(
        (known_origins[key] for uri in source.uris if (key := (uri.rstrip("/"), suite)) in known_origins), None
    )
    if origin is not None:
        return origin == distribution
    # No list fetched yet: a third party's archive comes with a key of its own.
    keyring = source.option("Signed-By")
    return not keyring.startswith("/") or Path(keyring).name.startswith(_ARCHIVE_KEYRINGS)
