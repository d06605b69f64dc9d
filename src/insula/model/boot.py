"""How a guest is started: what runs first, as whom, with which clock, and what happens when it ends."""

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Annotated

from insula.model.scalars import ProgramPath, YesNo
from insula.model.xmlmap import Attribute, Element, Mapped, Text

DEFAULT_INIT = ProgramPath(PurePosixPath("/sbin/init"))


class OsKind(StrEnum):
    """What libvirt calls the kind of operating system: a container is one executable on the host's kernel, or what a
    virtual machine would boot from its disk, less the boot loader and the kernel."""

    EXE = "exe"
    HVM = "hvm"


@dataclass(frozen=True, kw_only=True, slots=True)
class OsType(Mapped):
    """`<type arch='x86_64'>exe</type>`. arch: as `uname -m` spells it; None: the host's."""

    arch: Annotated[str | None, Attribute("arch")] = None
    kind: Annotated[OsKind, Text()] = OsKind.EXE


@dataclass(frozen=True, kw_only=True, slots=True)
class InitVariable(Mapped):
    """`<initenv name='TERM'>linux</initenv>`: one variable of the first process's environment.

    hidden: its value is not told in this document, because it may be a password or token.
    """

    name: Annotated[str, Attribute("name")]
    hidden: Annotated[YesNo | None, Attribute("insula:hidden")] = None
    value: Annotated[str, Text()] = ""

    @property
    def is_hidden(self) -> bool:
        return self.hidden is YesNo.YES


@dataclass(frozen=True, kw_only=True, slots=True)
class Os(Mapped):
    """`<os>`: the first process. user and group are names or numbers in the guest; directory its working directory."""

    type: Annotated[OsType, Element("type")]
    init: Annotated[ProgramPath | None, Element("init")] = None
    arguments: Annotated[tuple[str, ...], Element("initarg")] = ()
    environment: Annotated[tuple[InitVariable, ...], Element("initenv")] = ()
    directory: Annotated[PurePosixPath | None, Element("initdir")] = None
    user: Annotated[str | None, Element("inituser")] = None
    group: Annotated[str | None, Element("initgroup")] = None

    @property
    def program(self) -> ProgramPath:
        """The first process."""
        return self.init or DEFAULT_INIT

    @property
    def is_machine(self) -> bool:
        """Whether the document is one that a virtual machine could have."""
        return self.type.kind is OsKind.HVM

    def concealed(self) -> "Os":
        """Return it with the values of all variables hidden: what those may see who may not see passwords."""
        if not self.environment:
            return self
        hidden = (replace(each, hidden=YesNo.YES, value="") if each.value else each for each in self.environment)
        return replace(self, environment=tuple(hidden))

    def revealed(self, known: "Os") -> "Os":
        """Return it with the hidden values that known has; what it has not stays hidden."""
        if not any(each.is_hidden for each in self.environment):
            return self
        values = {each.name: each.value for each in known.environment if not each.is_hidden}
        return replace(
            self,
            environment=tuple(
                replace(each, hidden=None, value=values[each.name]) if each.is_hidden and each.name in values else each
                for each in self.environment
            ),
        )


class ClockOffset(StrEnum):
    UTC = "utc"
    LOCALTIME = "localtime"
    TIMEZONE = "timezone"
    VARIABLE = "variable"
    ABSOLUTE = "absolute"


class TimerName(StrEnum):
    PLATFORM = "platform"
    RTC = "rtc"
    PIT = "pit"
    HPET = "hpet"
    TSC = "tsc"
    KVMCLOCK = "kvmclock"
    HYPERVCLOCK = "hypervclock"
    ARMVTIMER = "armvtimer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Timer(Mapped):
    """`<timer>`. A container has the host's clocks; of these only `rtc` (may the guest see /dev/rtc) means anything."""

    name: Annotated[TimerName, Attribute("name")]
    present: Annotated[YesNo | None, Attribute("present")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock(Mapped):
    """`<clock>`. A container shares the host's wall clock, so only `utc` is wholly true; the rest is kept."""

    offset: Annotated[ClockOffset, Attribute("offset")] = ClockOffset.UTC
    timezone: Annotated[str | None, Attribute("timezone")] = None
    timers: Annotated[tuple[Timer, ...], Element("timer")] = ()


class OffAction(StrEnum):
    """What follows when the guest powers off or reboots by itself."""

    DESTROY = "destroy"
    RESTART = "restart"
    PRESERVE = "preserve"
    RENAME_RESTART = "rename-restart"


class CrashAction(StrEnum):
    """What follows when the guest's init dies of an error."""

    DESTROY = "destroy"
    RESTART = "restart"
    PRESERVE = "preserve"
    RENAME_RESTART = "rename-restart"
    COREDUMP_DESTROY = "coredump-destroy"
    COREDUMP_RESTART = "coredump-restart"
