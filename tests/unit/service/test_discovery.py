"""A guest that nothing on a disk describes gets a domain that can be told from others."""

from dataclasses import replace
from typing import cast
from uuid import UUID

from insula.engine.launch.runningcontainer import ContainerRecord, Running
from insula.engine.spec import Bytes, ContainerSpec, DirectoryRoot, Limits, Process
from insula.kernel.cgroups import Cgroup
from insula.kernel.fds import NO_FD
from insula.model.domain import DomainDefinition
from insula.model.scalars import DomainName
from insula.model.sizes import KiB
from insula.service.discovery import described, free_name
from insula.testing import FakeHost
from tests.unit.service.fakes import WEB, domain_xml


def test_what_its_container_was_made_of_describes_it() -> None:
    spec = ContainerSpec(
        name="a & b",
        uuid=str(WEB),
        root=DirectoryRoot(path="/srv"),
        init=Process(argv=("/bin/<init>",)),
        limits=replace(Limits(), memory=Bytes(128 << 20)),
    )
    record = ContainerRecord(spec=spec, id=7, pid=7, born=1, boot="b", group="g")
    domain = described(WEB, "a & b", Running(record=record, group=cast("Cgroup", FakeHost().group("g")), pidfd=NO_FD))
    assert (domain.name, domain.uuid, domain.memory) == ("a & b", WEB, KiB(128 << 10))


def test_a_name_that_is_taken_gets_the_uuid_behind_it() -> None:
    domain = DomainDefinition.load(domain_xml())
    assert free_name(domain, {"mail"}.__contains__) == "web"
    other = replace(domain, name=DomainName("web"), uuid=UUID(int=7))
    assert free_name(other, {"web"}.__contains__) == f"web-{UUID(int=7)}"
