"""Refusals carry the number, domain and words that libvirt's clients look for."""

import pytest

from insula.errorcodes import ErrorCode, ErrorDomain
from insula.rpc.frames import RpcProgram
from insula.rpc.procedures import Remote
from insula.rpc.refusals import ABSENT, forbidden_read_only, not_supported


@pytest.mark.parametrize(
    ("api", "domain"),
    [
        ("virDomainScreenshot", ErrorDomain.DOMAIN),
        ("virDomainGetInterfaceParameters", ErrorDomain.DOMAIN),
        ("virDomainSnapshotNum", ErrorDomain.DOMAIN_SNAPSHOT),
        ("virDomainRevertToSnapshot", ErrorDomain.DOMAIN_SNAPSHOT),
        ("virDomainListAllCheckpoints", ErrorDomain.DOMAIN_CHECKPOINT),
        ("virConnectListAllNetworks", ErrorDomain.NETWORK),
        ("virNetworkCreate", ErrorDomain.NETWORK),
        ("virConnectNumOfNWFilters", ErrorDomain.NWFILTER),
        ("virStoragePoolBuild", ErrorDomain.STORAGE),
        ("virConnectFindStoragePoolSources", ErrorDomain.STORAGE),
        ("virNodeListDevices", ErrorDomain.NODEDEV),
        ("virNodeDeviceDettach", ErrorDomain.NODEDEV),
        ("virSecretGetValue", ErrorDomain.SECRET),
        ("virInterfaceGetXMLDesc", ErrorDomain.INTERFACE),
        ("virConnectGetCPUModelNames", ErrorDomain.DOMAIN),
        ("virNodeGetInfo", ErrorDomain.DOMAIN),
        ("virDomainQemuMonitorCommand", ErrorDomain.NONE),
    ],
)
def test_the_domain_is_that_of_libvirts_own_file(api: str, domain: ErrorDomain) -> None:
    assert not_supported(api).domain is domain
    assert forbidden_read_only(api).domain is domain


def test_what_is_not_there_is_named_by_its_public_api() -> None:
    error = not_supported("virStoragePoolBuild")
    assert error.code is ErrorCode.NO_SUPPORT
    assert error.message == "this function is not supported by the connection driver: virStoragePoolBuild"


def test_what_means_nothing_to_a_container_is_refused_in_words() -> None:
    assert not_supported("virDomainSendKey").message == (
        "this function is not supported by the connection driver: virDomainSendKey: a container has no keyboard; type "
        "at its console, by `virsh console`"
    )


def test_what_a_read_only_connection_may_not_is_named_by_its_public_api() -> None:
    error = forbidden_read_only("virDomainCreate")
    assert error.code is ErrorCode.OPERATION_DENIED
    assert error.message == "operation forbidden: read only access prevents virDomainCreate"


def test_a_procedure_has_a_row_or_is_absent_never_both() -> None:
    assert ABSENT[RpcProgram.REMOTE].keys() & Remote.rows.keys() == set()
