"""Verbs for images: image build, image ls, image rm, image prune."""

import argparse
import json
from collections.abc import Sequence

from insula.cli.buildprogress import build_progress
from insula.cli.columns import Column, list_arguments, show_list
from insula.cli.lookup import require_image
from insula.cli.render import show_error, show_facts, show_json, show_line, show_progress, show_table, size
from insula.cli.terminal import confirmed
from insula.errors import InsulaError, InvalidArgumentError, OperationInvalidError, ResourceBusyError
from insula.rpc.codes.nativecodes import ImageFlags
from insula.sdk.blocking_domains import Host
from insula.sdk.values import Json

_WAIT_SECONDS = 1.0
_OWN_OPTIONS = {"recipe": "--recipe", "packages": "--include"}


def _build_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="such as debian-12, debian-13 or busybox, which are also recipes")
    parser.add_argument("--recipe", help="what to build, if not what the name says: debian-12, debian-13, busybox, ...")
    parser.add_argument("--include", action="append", default=[], metavar="PACKAGE", help="install this package, too")
    parser.add_argument(
        "-o",
        "--option",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="of the recipe, such as mirror, suite, slim or console; see the reference on storage",
    )
    parser.add_argument("-q", "--quiet", action="store_true", help="no progress")


def split_option(text: str) -> tuple[str, str]:
    """Read `NAME=VALUE`, an option of a recipe. Raises: InvalidArgumentError, also for what has an option of ours."""
    name, _, value = text.partition("=")
    if not name or not value:
        raise InvalidArgumentError(f"'{text}' is no option of a recipe; give NAME=VALUE, such as slim=yes")
    if name in _OWN_OPTIONS:
        raise InvalidArgumentError(f"'{name}' is not given this way; use {_OWN_OPTIONS[name]}")
    return name, value


def _build(options: argparse.Namespace, host: Host) -> int:
    recipe = {
        "recipe": options.recipe or options.name,
        "packages": options.include,
        **dict(map(split_option, options.option)),
    }
    with build_progress(quiet=options.quiet) as progress, host.build_image(options.name, recipe) as stream:
        rest = b""
        while True:
            piece = stream.take()
            if piece is None:
                if stream.ended:
                    break
                progress.wait()
                host.client.receive(_WAIT_SECONDS)
                continue
            *lines, rest = (rest + piece if isinstance(piece, bytes) else rest).split(b"\n")
            for line in lines:
                progress.show(json.loads(line))
    show_line(options.name)
    return 0


FIELDS = ("name", "id", "os", "distribution", "release", "architecture", "size", "created", "recipe")
"""Of each image that is listed."""

COLUMNS = (
    Column("NAME", lambda row: row["name"]),
    Column("SYSTEM", lambda row: row["os"]),
    Column("ARCHITECTURE", lambda row: row["architecture"]),
    Column("SIZE", lambda row: size(row["size"])),
    Column("CREATED", lambda row: row["created"]),
)


def _ls_arguments(parser: argparse.ArgumentParser) -> None:
    list_arguments(parser, FIELDS)


def _ls(options: argparse.Namespace, host: Host) -> int:
    show_list(options, host.images(), COLUMNS, FIELDS)
    return 0


def _info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="its name")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _info(options: argparse.Namespace, host: Host) -> int:
    require_image(host, options.image)
    images = host.images()
    found = dict(next(each for each in images if each["name"] == options.image))
    names = [each["name"] for each in images if each["id"] == found["id"]]
    found["other names"] = [each for each in names if each != options.image]
    found["domains"] = [each["name"] for each in host.overview() if each["image"] in names]
    if options.json:
        show_json(found)
    else:
        options_of_recipe = [f"{name}={value}" for name, value in found.pop("recipe")["options"]]
        show_facts(found | {"size": size(found["size"]), "recipe": options_of_recipe})
    return 0


def _tag_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("image", help="its name")
    parser.add_argument("name", help="another name, by which domains can be made of it, too")
    parser.epilog = (
        "insula image rm takes a name away. An image goes with the name that it was built under: after its others, or "
        "together with them, insula image rm debian-12 mine."
    )


def _tag(options: argparse.Namespace, host: Host) -> int:
    host.tag_image(options.image, options.name)
    show_line(options.name)
    return 0


def _rm_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("images", nargs="+", metavar="image", help="its name")


def _rm(options: argparse.Namespace, host: Host) -> int:
    status, names = 0, list(options.images)
    while names:
        busy: list[tuple[str, InsulaError]] = []
        for name in names:
            try:
                host.remove_image(name)
            except ResourceBusyError as error:
                busy.append((name, error))  # it may have other names, that are among those behind it
            except InsulaError as error:
                show_error(str(error), of=name)
                status = status or error.exit_status
        if len(busy) == len(names):
            for name, told in busy:
                show_error(str(told), of=name)
                status = status or told.exit_status
            break
        names = [name for name, _ in busy]
    return status


def _prune_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Remove the clones of domains that are neither defined nor running, and print what was removed."
    )
    parser.add_argument(
        "-y", "--yes", action="store_true", help="do not ask; without a terminal nothing is removed else"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def _prune(options: argparse.Namespace, host: Host) -> int:
    left = host.images(ImageFlags.CLONES)
    if left and not options.yes:
        _confirm_prune(left)
    status, removed = 0, []
    for clone in left:
        try:
            host.remove_image(clone["uuid"], ImageFlags.CLONES)
            removed.append(clone)
        except InsulaError as error:
            show_error(str(error), of=clone["uuid"])
            status = status or error.exit_status
    if options.json:
        show_json(removed)
    elif removed:
        show_table(("CLONE", "IMAGE"), [(each["uuid"], each["image"]) for each in removed])
    return status


def _confirm_prune(left: Sequence[Json]) -> None:
    """Show what would be removed, and return if that is wanted. Raises: OperationInvalidError if it is not."""
    for each in left:
        show_progress(f"{each['uuid']}, a clone of {each['image']}")
    question = "Remove it with all" if len(left) == 1 else f"Remove these {len(left)} with all"
    if not confirmed(f"{question} that was written there?"):
        raise OperationInvalidError("nothing was removed; --yes removes without asking")


ARGUMENTS = {
    "image build": _build_arguments,
    "image ls": _ls_arguments,
    "image info": _info_arguments,
    "image tag": _tag_arguments,
    "image rm": _rm_arguments,
    "image prune": _prune_arguments,
}
RUN = {
    "image build": _build,
    "image ls": _ls,
    "image info": _info,
    "image tag": _tag,
    "image rm": _rm,
    "image prune": _prune,
}
