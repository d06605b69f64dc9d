"""How guests are looked after, as the XML has it."""

import pytest

from insula.model.domain import DomainDefinition
from insula.model.healthchecks import DefinedHealthCheck, HealthAction
from insula.model.validate import problems
from tests.unit.model.test_bootorder import read


def test_a_health_check_is_read_and_written() -> None:
    attributes = "command='true' interval='10' timeout='2' retries='5' start-period='60' action='restart'"
    domain = read(f"<insula:healthcheck {attributes}/>")
    assert domain.settings.is_probed and DomainDefinition.load(domain.dump()) == domain
    assert domain.settings.health == DefinedHealthCheck(
        command="true", interval=10, timeout=2, retries=5, start_period=60, action=HealthAction.RESTART
    )


@pytest.mark.parametrize("attributes", ["", "port='1' command='true'"])
def test_it_is_known_in_one_way(attributes: str) -> None:
    wrong = problems(read(f"<insula:healthcheck {attributes}/>"))
    assert wrong == ("the health is known in one way: choose one of port and command",)


def test_nobody_is_looked_after_unasked() -> None:
    assert not read("").settings.is_probed
    assert read("<insula:readiness notify='yes'/>").settings.is_probed
