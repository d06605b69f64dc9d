from pathlib import PurePosixPath

from insula.model.boot import (
    DEFAULT_INIT,
    Clock,
    ClockOffset,
    CrashAction,
    InitVariable,
    OffAction,
    Os,
    OsType,
    TimerName,
)
from insula.model.scalars import YesNo
from insula.model.xmlreader import load
from insula.model.xmlwriter import dump


def test_an_init_has_arguments_environment_place_and_owner() -> None:
    os = load(
        Os,
        "os",
        "<os><type arch='x86_64'>exe</type><init>/sbin/init</init><initarg>--unit</initarg><initarg/>"
        "<initenv name='TERM'>linux</initenv><initdir>/srv</initdir>"
        "<inituser>web</inituser><initgroup>33</initgroup></os>",
    )
    assert (os.type.arch, os.init, os.arguments) == ("x86_64", PurePosixPath("/sbin/init"), ("--unit", ""))
    assert [(each.name, each.value) for each in os.environment] == [("TERM", "linux")]
    assert (os.directory, os.user, os.group) == (PurePosixPath("/srv"), "web", "33")


def test_the_init_is_sbin_init_unless_told_otherwise() -> None:
    os = load(Os, "os", "<os><type>exe</type></os>")
    assert os.program == DEFAULT_INIT


def test_a_clock_is_utc_unless_told_otherwise() -> None:
    assert dump(Clock(), "clock") == "<clock offset='utc'/>\n"


def test_timers_may_be_absent_by_order() -> None:
    clock = load(Clock, "clock", "<clock offset='localtime'><timer name='rtc' present='no'/></clock>")
    assert clock.offset is ClockOffset.LOCALTIME
    assert [(each.name, each.present) for each in clock.timers] == [(TimerName.RTC, YesNo.NO)]


def test_a_crash_knows_every_action_that_powering_off_knows() -> None:
    assert {each.value for each in OffAction} < {each.value for each in CrashAction}


def os_with(**values: str) -> Os:
    return Os(type=OsType(), environment=tuple(InitVariable(name=name, value=value) for name, value in values.items()))


def test_values_of_the_environment_are_hidden_and_found_again() -> None:
    whole = os_with(TOKEN="sesame", EMPTY="")
    hidden = load(Os, "os", dump(whole.concealed(), "os"))
    assert "sesame" not in dump(whole.concealed(), "os")
    assert [(each.name, each.value, each.is_hidden) for each in hidden.environment] == [
        ("TOKEN", "", True),
        ("EMPTY", "", False),
    ]
    assert hidden.revealed(whole) == whole


def test_a_hidden_value_that_nobody_knows_stays_hidden() -> None:
    hidden = os_with(TOKEN="sesame").concealed()
    assert hidden.revealed(os_with(OTHER="x")) == hidden
    assert hidden.revealed(hidden) == hidden


def test_values_that_a_document_tells_win_over_those_known() -> None:
    assert os_with(TOKEN="new").revealed(os_with(TOKEN="old")) == os_with(TOKEN="new")
