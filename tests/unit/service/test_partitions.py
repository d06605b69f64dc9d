"""Partitions: below what is allowed, however it is spelled, and nowhere else."""

from pathlib import PurePosixPath

import pytest

from insula.errors import UnsupportedConfigError
from insula.model.domain import DomainDefinition
from insula.service.partitions import BELOW_MACHINE, Partitions


def domain(partition: str) -> DomainDefinition:
    return DomainDefinition.load(
        "<domain type='lxc'><name>x</name><memory>1</memory><os><type>exe</type></os>"
        f"<resource><partition>{partition}</partition></resource></domain>"
    )


@pytest.mark.parametrize(
    "partition", ["/machine", "/machine/", "//machine/production", "/machine.slice", "/machine/a/b"]
)
def test_below_machine_is_where_domains_may_be(partition: str) -> None:
    BELOW_MACHINE.check(domain(partition))


@pytest.mark.parametrize(
    "partition",
    [
        *(
            "/",
            "/system.slice",
            "/system",
            "/user.slice/user-0.slice",
            "/init.scope",
            "/machine-evil",
            "/machine/../system",
        ),
        *("/machinery", "/machine/../../a", "/-.slice"),
    ],
)
def test_elsewhere_they_may_not(partition: str) -> None:
    with pytest.raises(UnsupportedConfigError, match="is not below /machine; take one that is, or allow it"):
        BELOW_MACHINE.check(domain(partition))


def test_the_administrator_may_allow_others() -> None:
    partitions = Partitions(allowed=(PurePosixPath("/customers/a"),))
    partitions.check(domain("/customers/a/web"))
    with pytest.raises(UnsupportedConfigError, match="is not below /customers/a"):
        partitions.check(domain("/machine"))


def test_a_domain_that_names_none_is_where_we_put_it() -> None:
    xml = "<domain type='lxc'><name>x</name><memory>1</memory><os><type>exe</type></os></domain>"
    Partitions(allowed=(PurePosixPath("/customers"),)).check(DomainDefinition.load(xml))
