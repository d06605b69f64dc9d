"""Metrics as text, in both formats."""

import pytest

from insula.daemon.exposition import TextFormat, exposition, wanted_format
from insula.model.domainstates import DomainState, RunningReason, StateWithReason
from insula.model.numbers import ParameterType
from insula.service.metrics import Samples
from insula.service.parameters import Parameter
from tests.unit.daemon.fakes import WEB, managed


def samples() -> Samples:
    found = Samples()
    domain = managed(WEB.name, WEB.uuid)
    domain.found(StateWithReason(state=DomainState.RUNNING, reason=RunningReason.BOOTED))
    found.add(domain, [Parameter("cpu.time", ParameterType.ULLONG, 1_500_000_000)])
    return found


def text(form: TextFormat) -> list[str]:
    return "".join(exposition(samples(), "1.2", 0.25, form)).splitlines()


def test_the_older_format_calls_a_counter_by_its_whole_name() -> None:
    lines = text(TextFormat.PROMETHEUS)
    assert lines[:3] == [
        "# HELP insula_build_info Version of insulad.",
        "# TYPE insula_build_info gauge",
        'insula_build_info{version="1.2"} 1',
    ]
    assert 'insula_domains{state="running"} 1' in lines and "insula_read_seconds 0.250000" in lines
    assert lines[-3:] == [
        "# HELP insula_domain_cpu_seconds_total Processor time.",
        "# TYPE insula_domain_cpu_seconds_total counter",
        f'insula_domain_cpu_seconds_total{{domain="{WEB.name}",uuid="{WEB.uuid}"}} 1.500000000',
    ]


def test_openmetrics_has_units_and_an_end() -> None:
    lines = text(TextFormat.OPEN_METRICS)
    assert lines[-5:-2] == [
        "# HELP insula_domain_cpu_seconds Processor time.",
        "# TYPE insula_domain_cpu_seconds counter",
        "# UNIT insula_domain_cpu_seconds seconds",
    ]
    assert lines[-1] == "# EOF"


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5", TextFormat.OPEN_METRICS),
        ("text/html", TextFormat.PROMETHEUS),
        ("", TextFormat.PROMETHEUS),
    ],
)
def test_openmetrics_is_for_who_accepts_it(accept: str, form: TextFormat) -> None:
    assert wanted_format(accept) is form
