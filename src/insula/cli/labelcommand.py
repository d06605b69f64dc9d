"""label: names with values to find domains by, kept in their metadata; `model.domainlabels` says in which element."""

import argparse
from html import escape

from insula.cli.lookup import domain
from insula.cli.render import show_json, show_line
from insula.errors import InvalidArgumentError
from insula.model.numbers import Affect, MetadataType
from insula.model.xmlnamespaces import LABELS_NAMESPACE
from insula.sdk.blocking_domains import Domain, Host

PREFIX = "labels"


def _label_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("domain", help="name, id or UUID")
    parser.add_argument("labels", nargs="*", metavar="NAME=VALUE", help="to set; NAME- takes one away")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.epilog = "Without labels to set, those it has are shown. insula ls --filter label=NAME=VALUE finds domains."


def _label(options: argparse.Namespace, host: Host) -> int:
    found = domain(host, options.domain)
    before = labels_of(host, found)
    after = changed(before, options.labels)
    if after != before:
        _keep(found, after)
    if options.json:
        show_json(after)
    elif not options.labels:
        for name, value in after.items():
            show_line(f"{name}={value}")
    return 0


def labels_of(host: Host, found: Domain) -> dict[str, str]:
    """The labels of what describes a domain now."""
    told = next((each for each in host.overview() if each["uuid"] == found.uuid), None)
    return dict(told["labels"]) if told is not None else {}


def changed(labels: dict[str, str], wishes: list[str]) -> dict[str, str]:
    """Return labels as they are to be. Raises: InvalidArgumentError for what is neither NAME=VALUE nor NAME-."""
    after = dict(labels)
    for each in wishes:
        name, equals, value = each.partition("=")
        if equals and name:
            after[name] = value.strip()
        elif not equals and name.endswith("-") and len(name) > 1:
            after.pop(name.removesuffix("-"), None)
        else:
            raise InvalidArgumentError(f"'{each}' is no label; give NAME=VALUE, or NAME- to take one away")
    return after


def element(labels: dict[str, str]) -> str | None:
    """The element that holds labels, None for none."""
    if not labels:
        return None
    lines = [f"<label name='{escape(name)}'>{escape(value, quote=False)}</label>" for name, value in labels.items()]
    return f"<labels>{''.join(lines)}</labels>"


def _keep(found: Domain, labels: dict[str, str]) -> None:
    """Keep labels for the run, and for the definition where there is one."""
    affect = Affect.LIVE if found.is_active() else Affect(0)
    affect |= Affect.CONFIG if found.is_persistent() else Affect(0)
    found.set_metadata(MetadataType.ELEMENT, element(labels), PREFIX, LABELS_NAMESPACE, affect)


ARGUMENTS = {"label": _label_arguments}
RUN = {"label": _label}
