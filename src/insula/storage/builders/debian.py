"""Debian and Ubuntu root file systems, by mmdebstrap, from the archives that the host itself uses.

Source: mmdebstrap(1).
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from insula.errors import InvalidArgumentError, OperationFailedError
from insula.storage.builders.aptsettings import credential_settings, guest_settings, host_settings
from insula.storage.builders.aptsources import AptSource, host_sources, origins, render, sources_for
from insula.storage.builders.debianguest import SLIM, finish
from insula.storage.builders.debiannetwork import resolver_packages
from insula.storage.builders.imagebuilder import Progress, Recipe, Workplace, check_options, choice
from insula.storage.builders.tool import run_tool

NAME = "debian"

PACKAGES = (
    *("systemd-sysv", "dbus", "libpam-systemd", "login"),  # an init, its bus, log-ins
    *(
        "iproute2",
        "iputils-ping",
        "netbase",
        "libnss-myhostname",
    ),  # a look at the network, names of services and itself
    "procps",
)
"""Beside the minbase variant (what apt needs): what makes a system of it. No kernel, no boot loader, no udev."""

OPTIONS = {
    "suite": "the release's code name, such as trixie",
    "mirror": "the archive's address, instead of the host's own",
    "packages": "more packages, separated by commas",
    "slim": "yes: without documentation and translations",
    "console": "login or autologin",
}

_DEBIAN = {"11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky"}
_UBUNTU = {"20.04": "focal", "22.04": "jammy", "24.04": "noble", "25.10": "questing", "26.04": "resolute"}
_ROLLING = frozenset({"sid", "unstable", "experimental"})
"""Suites without updates and security archives of their own."""
_BEFORE_FIRMWARE = frozenset({"buster", "bullseye"})
"""Suites without the component non-free-firmware."""
_SUITE = re.compile(r"[a-z][a-z0-9.-]{1,30}\Z")
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+(?::[a-z0-9]+)?(?:[=/][A-Za-z0-9.+:~-]+)?\Z")
_MIRROR = re.compile(r"(?:https?|ftp|file|copy)://?[^\s\[\]]+\Z")
_OS_RELEASE = Path("/etc/os-release")


class DebianBuilder:
    """`debian-12`, `debian-trixie`, `ubuntu-24.04`, and any other suite by option."""

    name = NAME

    def recipe(self, source: str, options: Mapping[str, str]) -> Recipe | None:
        distribution, _, release = source.partition("-")
        versions = {"debian": _DEBIAN, "ubuntu": _UBUNTU}.get(distribution)
        if versions is None:
            return None
        check_options(source, options, OPTIONS)
        suite = options.get("suite") or versions.get(release, release)
        if not _SUITE.match(suite):
            raise InvalidArgumentError(f"'{source}' names no release; try {distribution}-{list(versions)[-2]}")
        mirror = options.get("mirror", "")
        if mirror and not _MIRROR.match(mirror):
            raise InvalidArgumentError(f"the mirror '{mirror}' is no address such as http://HOST/debian")
        complete = {
            "distribution": distribution,
            "suite": suite,
            "mirror": mirror,
            "packages": ",".join(_packages(source, options.get("packages", ""))),
            "slim": choice(source, "slim", options.get("slim", "no"), ("no", "yes")),
            "console": choice(source, "console", options.get("console", "login"), ("login", "autologin")),
        }
        return Recipe(builder=NAME, options=tuple(sorted((key, value) for key, value in complete.items() if value)))

    async def build(self, recipe: Recipe, workplace: Workplace) -> None:
        sources = _sources(recipe)
        settings = host_settings()
        configuration = workplace.directory / "apt.conf"
        configuration.write_text("\n".join([*settings, *credential_settings(), ""]))
        watch = progress_of(workplace.report)
        await run_tool(
            command(recipe, sources, configuration, workplace.rootfs),
            workplace,
            package="mmdebstrap",
            watch=watch,
            stdin=render(sources).encode(),
        )
        configuration.unlink()
        workplace.report(Progress(phase="finishing", text="making it a guest", fraction=0.97))
        finish(
            workplace.rootfs,
            recipe=recipe,
            sources=sources,
            settings=guest_settings(settings),
        )


def _packages(source: str, text: str) -> list[str]:
    names = [each.strip() for each in text.split(",") if each.strip()]
    for name in names:
        if not _PACKAGE.match(name):
            raise InvalidArgumentError(
                f"'{name}' is no package's name, as --include and the option 'packages' of '{source}' take"
            )
    return sorted(set(names))


def command(recipe: Recipe, sources: list[AptSource], configuration: Path, rootfs: Path) -> list[str]:
    """Return the command line; the sources come on standard input.

    dpkg need not sync: a build that does not reach its end is thrown away, and the store syncs a whole one.
    """
    wanted = [*PACKAGES, *resolver_packages(recipe.option("suite")), *recipe.option("packages").split(",")]
    if any(uri.startswith("https:") for source in sources for uri in source.uris):
        wanted.append("ca-certificates")
    return [
        "mmdebstrap",
        "--verbose",
        "--mode=root",
        "--format=directory",
        "--variant=minbase",
        f"--include={','.join(each for each in wanted if each)}",
        f"--aptopt={configuration}",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt={line}" for line in (SLIM if recipe.option("slim") == "yes" else ())),
        recipe.option("suite"),
        str(rootfs),
        "-",
    ]


def _sources(recipe: Recipe) -> list[AptSource]:
    release = _os_release(_OS_RELEASE)
    return guest_sources(recipe, host_sources(), release.get("VERSION_CODENAME", ""), release.get("ID", ""), origins())


def guest_sources(
    recipe: Recipe,
    sources: list[AptSource],
    host_codename: str,
    host_distribution: str,
    known_origins: Mapping[tuple[str, str], str],
) -> list[AptSource]:
    """Return the archives of the recipe's suite: the host's own with the suites swapped, or the mirror asked for.

    Raises: OperationFailedError if the host does not know any.
    """
    suite, distribution, mirror = (recipe.option(name) for name in ("suite", "distribution", "mirror"))
    found = []
    if host_distribution == distribution:
        found = sources_for(suite, sources, host_codename, known_origins, distribution.capitalize())
    if mirror:
        found = _with_mirror(found, mirror, suite)
    if not found:
        raise OperationFailedError(
            f"the host's apt sources name no archive of {distribution.capitalize()}; give one: --option mirror=URL"
        )
    return [fitted for source in found if (fitted := _fitted(source, suite)).suites]


def _fitted(source: AptSource, suite: str) -> AptSource:
    """Take out what the suite's archive does not have."""
    return replace(
        source,
        suites=tuple(each for each in source.suites if suite not in _ROLLING or each == suite),
        components=tuple(
            each for each in source.components if suite not in _BEFORE_FIRMWARE or each != "non-free-firmware"
        ),
    )


def _with_mirror(found: list[AptSource], mirror: str, suite: str) -> list[AptSource]:
    """Put a mirror in the place of the main archive; security updates keep coming from where the host has them."""
    security = [source for source in found if suite not in source.suites]
    main = next((source for source in found if suite in source.suites), None)
    chosen = AptSource(
        uris=(mirror,),
        suites=main.suites if main else (suite,),
        components=main.components if main else ("main",),
        options=main.options if main else (),
    )
    return [chosen, *security]


def _os_release(path: Path) -> dict[str, str]:
    try:
        lines = path.read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip("\"'") for name, _, value in (line.partition("=") for line in lines) if value}


@dataclass(frozen=True, slots=True)
class _BuildPhase:
    """A part of mmdebstrap's work. begins: how its message starts; steps: lines it writes for each package."""

    begins: str
    name: str
    text: str
    start: float
    end: float
    steps: int


_PHASES = (
    _BuildPhase("running apt-get update", "preparing", "reading package lists", 0.0, 0.1, 0),
    _BuildPhase("downloading packages", "downloading", "downloading", 0.1, 0.25, 1),
    _BuildPhase("extracting archives", "unpacking", "unpacking the base", 0.25, 0.35, 0),
    _BuildPhase("installing essential packages", "installing", "installing the base", 0.35, 0.6, 2),
    _BuildPhase("installing remaining packages", "installing", "installing packages", 0.6, 0.95, 3),
    _BuildPhase("cleaning", "finishing", "cleaning up", 0.95, 0.97, 0),
)
_COUNT = re.compile(r"\d+ upgraded, (\d+) newly installed")
_GOT = re.compile(r"Get:\d+ .*\[(?P<amount>[\d,.]+) (?P<unit>[kMG]?B)\]$")
_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3}
_STEP = re.compile(r"(?:Get:\d+ \S+ \S+ \S+ (?P<got>\S+)|(?P<verb>Unpacking|Setting up) (?P<package>[^\s:]+))")


def progress_of(report: Callable[[Progress], None]) -> Callable[[str], None]:
    """Return a function that turns mmdebstrap's, apt's and dpkg's lines into progress."""
    phase = _PHASES[0]
    packages = done = received = 0

    def watch(line: str) -> None:
        nonlocal phase, packages, done, received
        received += _downloaded(line)
        if line.startswith("I: "):
            entered = next((each for each in _PHASES if line[3:].startswith(each.begins)), None)
            if entered:
                phase, done = entered, 0
                report(Progress(phase=phase.name, text=phase.text, fraction=phase.start, received=received))
        elif count := _COUNT.match(line):
            packages = int(count[1])
        elif phase.steps and (step := _STEP.match(line)):
            done += 1
            share = min(1.0, done / (phase.steps * packages)) if packages else 0.0
            what = f"{step['verb'].lower()} {step['package']}" if step["verb"] else f"downloading {step['got']}"
            fraction = round(phase.start + share * (phase.end - phase.start), 3)
            report(Progress(phase=phase.name, text=what, fraction=fraction, received=received))
        elif line.startswith("Get:"):
            report(Progress(phase=phase.name, text=phase.text, fraction=phase.start, received=received))

    return watch


def _downloaded(line: str) -> int:
    """Bytes that a line of apt's says have come."""
    got = _GOT.match(line)
    return round(float(got["amount"].replace(",", "")) * _UNITS[got["unit"]]) if got else 0
