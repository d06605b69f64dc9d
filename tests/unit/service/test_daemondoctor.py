"""What a daemon tells of its guests beside what its host lacks."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

import pytest

from insula.engine.facts import Facts
from insula.engine.hostcheck import Gravity
from insula.errors import ConfigurationError
from insula.layout import Layout
from insula.model.domain import DomainDefinition
from insula.service.daemondoctor import DaemonDoctor, daemon_checks, differs, examine_host, told
from tests.unit.service.fakes import domain_xml


def managed(name: str = "web", *, title: str | None = None, unmet: tuple[str, ...] = ()) -> Any:
    kept = DomainDefinition.load(domain_xml(name))
    run = SimpleNamespace(container=SimpleNamespace(unmet=unmet))
    return SimpleNamespace(
        name=name, uuid=UUID(int=1), is_active=True, config=kept, current=replace(kept, title=title), run=run
    )


def lacking(
    *domains: Any, older: tuple[int, ...] = (), left: tuple[str, ...] = (), opened: tuple[str, ...] = ()
) -> dict[str, str]:
    changed = [each.name for each in domains if differs(each)]
    found = daemon_checks(domains, older_keepers=older, leftovers=left, differing=changed, exposed=opened)
    return {each.id: each.found for each in found if each.gravity is not Gravity.OK}


def test_a_daemon_whose_guests_are_as_defined_has_nothing_to_say() -> None:
    assert lacking(managed()) == {}


def test_each_thing_is_told_with_the_names_of_the_domains() -> None:
    assert list(lacking(older=(9, 8))) == ["daemon.keepers"]
    assert "(8, 9)" in lacking(older=(9, 8))["daemon.keepers"]
    assert lacking(left=("mail",))["daemon.leftovers"].endswith("mail")
    assert lacking(managed(title="another"))["domains.changed"].endswith("web")
    assert lacking(managed(unmet=("swap",)))["domains.unmet"].endswith("web")
    assert lacking(opened=("web",))["domains.exposed"].endswith("web")


def test_many_names_are_cut() -> None:
    several = [managed(f"web{number:02}", title="another") for number in range(12)]
    assert lacking(*several)["domains.changed"].endswith("web09 and 2 more")


def no_facts() -> Facts:
    raise ConfigurationError("no control groups are in view")


def test_a_host_that_cannot_be_looked_at_is_examined_all_the_same(tmp_path: Path) -> None:
    checks = {each.id: each for each in examine_host(Layout.prefix(tmp_path), no_facts)}
    assert checks["cgroup.mounted"].gravity is Gravity.ERROR and "host.clock" in checks


@pytest.mark.asyncio
async def test_host_and_daemon_are_one_answer(tmp_path: Path) -> None:
    doctor = DaemonDoctor(
        layout=Layout.prefix(tmp_path), leftovers=cast("Any", {UUID(int=1)}), older_keepers=list, detect=no_facts
    )
    answer = await doctor.examine([managed()])
    ids = [each["id"] for each in answer["checks"]]
    assert answer["daemon"] and {"cgroup.mounted", "daemon.leftovers"} <= set(ids)
    assert next(each for each in answer["checks"] if each["id"] == "daemon.leftovers")["gravity"] == "warning"
    assert told([], daemon=False) == {"daemon": False, "checks": []}
