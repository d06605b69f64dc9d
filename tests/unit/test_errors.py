"""Tests of insula.errors."""

import inspect
import re

import pytest

from insula import errors
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import InsulaError, StepError

CLASSES: dict[str, type[InsulaError]] = {
    name: kind for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, InsulaError)
}

# What a libvirt client is shown and a shell gets: code, prefix of the message, exit status. Prefixes are libvirt's own.
SEEN: dict[str, tuple[ErrorCode, str, int]] = {
    "InsulaError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 1),
    "ConfigurationError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 2),
    "InternalError": (ErrorCode.INTERNAL_ERROR, "internal error: ", 1),
    "InvalidArgumentError": (ErrorCode.INVALID_ARG, "invalid argument: ", 2),
    "XmlError": (ErrorCode.XML_ERROR, "XML error: ", 2),
    "XmlSyntaxError": (ErrorCode.XML_DETAIL, "XML error: ", 2),
    "SchemaError": (ErrorCode.XML_INVALID_SCHEMA, "XML document failed to validate against schema: ", 2),
    "MissingNameError": (ErrorCode.NO_NAME, "XML error: ", 2),
    "MissingSourceError": (ErrorCode.NO_SOURCE, "XML error: ", 2),
    "MissingTargetError": (ErrorCode.NO_TARGET, "XML error: ", 2),
    "UnsupportedConfigError": (ErrorCode.CONFIG_UNSUPPORTED, "unsupported configuration: ", 2),
    "ReadOnlyError": (ErrorCode.OPERATION_DENIED, "operation forbidden: ", 5),
    "AccessDeniedError": (ErrorCode.ACCESS_DENIED, "access denied: ", 5),
    "AuthenticationError": (ErrorCode.AUTH_FAILED, "authentication failed: ", 5),
    "AuthenticationCancelledError": (ErrorCode.AUTH_CANCELLED, "authentication cancelled: ", 5),
    "AuthenticationUnavailableError": (ErrorCode.AUTH_UNAVAILABLE, "authentication unavailable: ", 5),
    "AuthenticationRequiredError": (ErrorCode.RPC, "", 5),
    "NoSupportError": (ErrorCode.NO_SUPPORT, "this function is not supported by the connection driver: ", 6),
    "OperationUnsupportedError": (ErrorCode.OPERATION_UNSUPPORTED, "Operation not supported: ", 6),
    "ArgumentUnsupportedError": (ErrorCode.ARGUMENT_UNSUPPORTED, "argument unsupported: ", 6),
    "OperationInvalidError": (ErrorCode.OPERATION_INVALID, "Requested operation is not valid: ", 3),
    "OperationFailedError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 1),
    "StepError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 1),
    "KeeperError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 1),
    "NobodyListensError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 1),
    "OperationTimeoutError": (ErrorCode.OPERATION_TIMEOUT, "Timed out during operation: ", 7),
    "OperationAbortedError": (ErrorCode.OPERATION_ABORTED, "operation aborted: ", 1),
    "ResourceBusyError": (ErrorCode.RESOURCE_BUSY, "resource busy: ", 3),
    "DomainExistsError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 3),
    "DomainNotFoundError": (ErrorCode.NO_DOMAIN, "Domain not found: ", 4),
    "NetworkExistsError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 3),
    "NetworkFilterExistsError": (ErrorCode.OPERATION_FAILED, "operation failed: ", 3),
    "NetworkNotFoundError": (ErrorCode.NO_NETWORK, "Network not found: ", 4),
    "NetworkFilterNotFoundError": (ErrorCode.NO_NWFILTER, "Network filter not found: ", 4),
    "NetworkFilterBindingNotFoundError": (ErrorCode.NO_NWFILTER_BINDING, "Network filter binding not found: ", 4),
    "NetworkPortNotFoundError": (ErrorCode.NO_NETWORK_PORT, "network port not found: ", 4),
    "NetworkMetadataNotFoundError": (ErrorCode.NO_NETWORK_METADATA, "metadata not found: ", 4),
    "MetadataNotFoundError": (ErrorCode.NO_DOMAIN_METADATA, "metadata not found: ", 4),
    "ImageNotFoundError": (ErrorCode.NO_STORAGE_VOL, "Storage volume not found: ", 4),
    "ImageExistsError": (ErrorCode.STORAGE_VOL_EXIST, "storage volume already exists: ", 3),
    "NoHostnameError": (ErrorCode.NO_HOSTNAME, "no hostname found: ", 4),
    "DeviceMissingError": (ErrorCode.DEVICE_MISSING, "device not found: ", 4),
    "RpcError": (ErrorCode.RPC, "", 1),
}
DOMAINS = {
    "XmlError": ErrorDomain.DOMAIN,
    "XmlSyntaxError": ErrorDomain.DOMAIN,
    "SchemaError": ErrorDomain.XML,
    "MissingNameError": ErrorDomain.DOMAIN,
    "MissingSourceError": ErrorDomain.DOMAIN,
    "MissingTargetError": ErrorDomain.DOMAIN,
    "AuthenticationError": ErrorDomain.RPC,
    "AuthenticationCancelledError": ErrorDomain.RPC,
    "AuthenticationUnavailableError": ErrorDomain.RPC,
    "AuthenticationRequiredError": ErrorDomain.RPC,
    "NoSupportError": ErrorDomain.DOMAIN,
    "NetworkExistsError": ErrorDomain.NETWORK,
    "NetworkFilterExistsError": ErrorDomain.NWFILTER,
    "NetworkFilterNotFoundError": ErrorDomain.NWFILTER,
    "NetworkFilterBindingNotFoundError": ErrorDomain.NWFILTER,
    "NetworkNotFoundError": ErrorDomain.NETWORK,
    "NetworkPortNotFoundError": ErrorDomain.NETWORK,
    "NetworkMetadataNotFoundError": ErrorDomain.NETWORK,
    "ImageNotFoundError": ErrorDomain.STORAGE,
    "ImageExistsError": ErrorDomain.STORAGE,
    "RpcError": ErrorDomain.RPC,
}


def drawn() -> dict[str, str]:
    """Return each class of the tree in the module's docstring, and what it is drawn below."""
    above: dict[int, str] = {}
    found = {}
    for line in (errors.__doc__ or "").splitlines():
        match = re.match(r"    ([│├└─ ]*)(\w+Error)\b", line)
        if match:
            depth = len(match[1]) // 4
            above[depth] = match[2]
            found[match[2]] = above[depth - 1] if depth else "Exception"
    return found


def test_the_tree_that_is_drawn_is_the_tree_that_is() -> None:
    assert drawn() == {name: kind.__bases__[0].__name__ for name, kind in CLASSES.items()}


def test_every_error_has_its_row_here() -> None:
    assert CLASSES.keys() == SEEN.keys()


@pytest.mark.parametrize("name", SEEN)
def test_an_error_has_a_code_a_message_and_an_exit_status(name: str) -> None:
    code, prefix, status = SEEN[name]
    error = CLASSES[name]("nothing works")
    assert (error.code, error.exit_status) == (code, status)
    assert error.domain == DOMAINS.get(name, ErrorDomain.LXC)
    assert str(error) == "nothing works"
    assert error.message == f"{prefix}nothing works"
    assert inspect.getdoc(type(error))


def test_an_error_may_come_from_another_part_than_its_class_says() -> None:
    error = InsulaError("nothing works")
    error.domain = ErrorDomain.STREAMS
    assert (error.domain, InsulaError.domain) == (ErrorDomain.STREAMS, ErrorDomain.LXC)


def test_a_failed_step_is_named_with_the_kernels_number() -> None:
    error = StepError("cannot mount it", step="mount proc at /proc", errno=13)
    assert (str(error), error.step, error.errno) == ("cannot mount it", "mount proc at /proc", 13)
    assert error.message == "operation failed: cannot mount it"
    assert (StepError("no").step, StepError("no").errno) == ("", 0)


def test_every_failure_has_a_status_a_shell_takes_for_one() -> None:
    assert all(0 < kind.exit_status < 126 for kind in CLASSES.values())


def test_no_error_tells_the_numbers_that_python_writes_before_the_kernels_words() -> None:
    cause = OSError(28, "No space left on device", "/var/x")
    error = InsulaError(f"it cannot be written: {cause}")
    assert str(error) == "it cannot be written: No space left on device: '/var/x'"
    assert error.message == f"operation failed: {error}"
