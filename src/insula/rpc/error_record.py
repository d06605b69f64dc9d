"""The error payload: an exception of ours to the bytes a libvirt client understands, and back.

    code domain message level dom str1 str2 str3 int1 int2 net

The message is the final text: clients print it verbatim. str1 is libvirt's template ("Domain not found: %s"), str2 the
detail. A step of a plan that failed is named in str3, if it has a name there, with the kernel's errno in int1, where
libvirt has it too.
Source: virnetprotocol.x (virNetMessageError), virterror.c.
"""

from typing import Final, NamedTuple

from insula import errors
from insula.errorcodes import ErrorCode, ErrorDomain
from insula.errors import InsulaError, StepError
from insula.rpc.notation import record
from insula.rpc.wiretypes import DomainRef, NetworkRef

LEVEL_ERROR: Final = 2
UNKNOWN_PROCEDURE: Final = "unknown procedure"
"""How the text of an RPC error starts that means: this server has no such procedure."""

_NOTATION: Final = "code:i domain:i message:s? level:i dom:dom? str1:s? str2:s? str3:s? int1:i int2:i net:net?"

_CLASSES: Final[dict[int, type[InsulaError]]] = {
    ErrorCode.INTERNAL_ERROR: errors.InternalError,
    ErrorCode.NO_SUPPORT: errors.NoSupportError,
    ErrorCode.INVALID_ARG: errors.InvalidArgumentError,
    ErrorCode.OPERATION_FAILED: errors.OperationFailedError,
    ErrorCode.NO_SOURCE: errors.MissingSourceError,
    ErrorCode.NO_TARGET: errors.MissingTargetError,
    ErrorCode.NO_NAME: errors.MissingNameError,
    ErrorCode.XML_ERROR: errors.XmlError,
    ErrorCode.XML_DETAIL: errors.XmlSyntaxError,
    ErrorCode.XML_INVALID_SCHEMA: errors.SchemaError,
    ErrorCode.OPERATION_DENIED: errors.ReadOnlyError,
    ErrorCode.RPC: errors.RpcError,
    ErrorCode.NO_DOMAIN: errors.DomainNotFoundError,
    ErrorCode.AUTH_FAILED: errors.AuthenticationError,
    ErrorCode.AUTH_CANCELLED: errors.AuthenticationCancelledError,
    ErrorCode.AUTH_UNAVAILABLE: errors.AuthenticationUnavailableError,
    ErrorCode.NO_STORAGE_VOL: errors.ImageNotFoundError,
    ErrorCode.OPERATION_INVALID: errors.OperationInvalidError,
    ErrorCode.CONFIG_UNSUPPORTED: errors.UnsupportedConfigError,
    ErrorCode.OPERATION_TIMEOUT: errors.OperationTimeoutError,
    ErrorCode.ARGUMENT_UNSUPPORTED: errors.ArgumentUnsupportedError,
    ErrorCode.OPERATION_ABORTED: errors.OperationAbortedError,
    ErrorCode.NO_NETWORK: errors.NetworkNotFoundError,
    ErrorCode.NO_NWFILTER: errors.NetworkFilterNotFoundError,
    ErrorCode.NO_NWFILTER_BINDING: errors.NetworkFilterBindingNotFoundError,
    ErrorCode.NO_NETWORK_METADATA: errors.NetworkMetadataNotFoundError,
    ErrorCode.NO_NETWORK_PORT: errors.NetworkPortNotFoundError,
    ErrorCode.NO_DOMAIN_METADATA: errors.MetadataNotFoundError,
    ErrorCode.OPERATION_UNSUPPORTED: errors.OperationUnsupportedError,
    ErrorCode.RESOURCE_BUSY: errors.ResourceBusyError,
    ErrorCode.ACCESS_DENIED: errors.AccessDeniedError,
    ErrorCode.STORAGE_VOL_EXIST: errors.ImageExistsError,
    ErrorCode.DEVICE_MISSING: errors.DeviceMissingError,
    ErrorCode.NO_HOSTNAME: errors.NoHostnameError,
}
"""The class that stands for a number; numbers of others come back as `PeerError`."""


TEXT_MAX = 4096
"""Characters of an error's text; of a longer one beginning and end are told."""


class PeerError(InsulaError):
    """An error of the peer's with a number that no class of ours stands for. record: as it came."""

    prefix = ""

    def __init__(self, text: str, record: "ErrorRecord") -> None:
        super().__init__(text)
        self.record = record


class ErrorRecord(NamedTuple):
    """An error as it travels."""

    code: int
    domain: int
    message: str | None
    level: int = LEVEL_ERROR
    dom: DomainRef | None = None
    str1: str | None = None
    str2: str | None = None
    str3: str | None = None
    int1: int = 0
    int2: int = 0
    net: NetworkRef | None = None

    def pack(self) -> bytes:
        """The payload of an error reply."""
        return record(_NOTATION).pack(self)


def record_of(error: InsulaError) -> ErrorRecord:
    """Return what a peer is told of an error."""
    if isinstance(error, PeerError):
        return error.record
    prefix = error.message.removesuffix(str(error))
    detail = _sendable(str(error))
    message = prefix + detail
    record = ErrorRecord(code=error.code, domain=error.domain, message=message, str1=f"{prefix}%s", str2=detail)
    return record._replace(str3=error.step, int1=error.errno) if isinstance(error, StepError) else record


def _sendable(text: str) -> str:
    """Return text as it can travel: what is wrong may be quoted in it, however long and strange that is."""
    if len(text) > TEXT_MAX:
        text = f"{text[: TEXT_MAX // 2]} … {text[-TEXT_MAX // 2 :]}"
    return text.replace("\0", "\\0").encode(errors="backslashreplace").decode()


def unpack_error(body: bytes) -> ErrorRecord:
    """Return the record in a payload. Raises: RpcError if it holds none."""
    return ErrorRecord._make(record(_NOTATION).unpack(body))


def error_of(record: ErrorRecord) -> InsulaError:
    """Return the exception a record stands for; its `message` is the record's, word for word."""
    message = record.message or "unknown error"
    known = _CLASSES.get(record.code)
    if known is None:
        return PeerError(message, record)
    if known is errors.RpcError and message.startswith(UNKNOWN_PROCEDURE):
        known = errors.NoSupportError  # libvirt's own client takes it so
    text = message.removeprefix(known.prefix)
    of_step = known is errors.OperationFailedError and (record.str3 or record.int1 > 0)
    error = StepError(text, step=record.str3 or "", errno=record.int1) if of_step else known(text)
    error.domain = _domain(record.domain)
    if not message.startswith(known.prefix):
        vars(error)["prefix"] = ""  # others phrase the same number differently: keep their text
    return error


def _domain(number: int) -> ErrorDomain:
    try:
        return ErrorDomain(number)
    except ValueError:
        return ErrorDomain.NONE
