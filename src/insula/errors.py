"""The exception tree: each error carries its text, the number a libvirt client sees, and a shell's exit status.

    InsulaError                          operation failed
    ├── ConfigurationError               the daemon's or the command line's own settings
    ├── InternalError                    a mistake of ours
    ├── InvalidArgumentError             an argument nobody could act on
    ├── XmlError                         XML that lacks what is needed, or says what cannot be (line given)
    │   ├── XmlSyntaxError               it does not parse
    │   ├── SchemaError                  it is not valid by libvirt's schema
    │   ├── MissingNameError             a domain without a name
    │   ├── MissingSourceError           a device that says not where it comes from
    │   └── MissingTargetError           a device that says not where it goes
    ├── UnsupportedConfigError           XML that is understood and refused
    ├── ReadOnlyError                    a change asked for on a read-only connection
    ├── AccessDeniedError
    ├── AuthenticationError
    │   ├── AuthenticationCancelledError     a person was asked, and said no
    │   └── AuthenticationUnavailableError   a person would have to be asked, and cannot be
    ├── AuthenticationRequiredError      a call before the peer has proved who it is
    ├── NoSupportError                   an API this driver does not have
    ├── OperationUnsupportedError        an API it has, in a form it does not
    ├── ArgumentUnsupportedError         an argument that means nothing here
    ├── OperationInvalidError            not in this state
    ├── OperationFailedError
    │   ├── DomainExistsError            the number is libvirt's for it
    │   ├── NetworkExistsError           likewise
    │   ├── NetworkFilterExistsError     likewise
    │   ├── StepError                    a step of a launch plan (step and errno)
    │   ├── KeeperError                  the keeper is gone or answered nonsense
    │   └── NobodyListensError           there is no daemon at a socket
    ├── OperationTimeoutError
    ├── OperationAbortedError
    ├── ResourceBusyError
    ├── DomainNotFoundError
    ├── NetworkNotFoundError
    ├── NetworkPortNotFoundError
    ├── NetworkFilterNotFoundError
    ├── NetworkFilterBindingNotFoundError
    ├── MetadataNotFoundError
    │   └── NetworkMetadataNotFoundError
    ├── ImageNotFoundError
    ├── ImageExistsError
    ├── NoHostnameError
    ├── DeviceMissingError
    └── RpcError                         bytes on the wire that break the protocol

`str(error)` is our text, lower case without a full stop. `error.message` is the final text for a libvirt client, with
libvirt's class prefix: clients print it verbatim.
"""

import re
from typing import ClassVar

from insula.errorcodes import ErrorCode, ErrorDomain

_ERRNO = re.compile(r"\[Errno -?\d+\] ")


def without_errno(text: str) -> str:
    """Return what an error says without the number that Python writes before the kernel's words: people read them."""
    return _ERRNO.sub("", text)


class InsulaError(Exception):
    """Anything Insula refuses or fails to do."""

    code: ClassVar[ErrorCode] = ErrorCode.OPERATION_FAILED
    domain: ErrorDomain = ErrorDomain.LXC
    prefix: ClassVar[str] = "operation failed: "
    exit_status: ClassVar[int] = 1

    def __str__(self) -> str:
        return without_errno(super().__str__())

    @property
    def message(self) -> str:
        """The final text for a libvirt client, class prefix included."""
        return f"{self.prefix}{self}"


class ConfigurationError(InsulaError):
    """A setting of the daemon or the command line that cannot be used."""

    exit_status = 2


class InternalError(InsulaError):
    """A mistake of ours: please report it."""

    code = ErrorCode.INTERNAL_ERROR
    prefix = "internal error: "


class InvalidArgumentError(InsulaError):
    """An argument nobody could act on."""

    code = ErrorCode.INVALID_ARG
    prefix = "invalid argument: "
    exit_status = 2


class XmlError(InsulaError):
    """XML that lacks what is needed, or says what cannot be; the text gives the line and what was expected."""

    code = ErrorCode.XML_ERROR
    domain = ErrorDomain.DOMAIN
    prefix = "XML error: "
    exit_status = 2


class XmlSyntaxError(XmlError):
    """A text that is no XML, or none that is accepted; libvirt tells it apart from XML that says what cannot be."""

    code = ErrorCode.XML_DETAIL


class SchemaError(XmlError):
    """XML that is not valid by libvirt's schema, where a client asked for that."""

    code = ErrorCode.XML_INVALID_SCHEMA
    domain = ErrorDomain.XML
    prefix = "XML document failed to validate against schema: "


class MissingNameError(XmlError):
    """A domain without a name."""

    code = ErrorCode.NO_NAME


class MissingSourceError(XmlError):
    """A disk or file system that does not say where it comes from."""

    code = ErrorCode.NO_SOURCE


class MissingTargetError(XmlError):
    """A disk or file system that does not say where it goes."""

    code = ErrorCode.NO_TARGET


class UnsupportedConfigError(InsulaError):
    """A configuration that is understood and refused."""

    code = ErrorCode.CONFIG_UNSUPPORTED
    prefix = "unsupported configuration: "
    exit_status = 2


class ReadOnlyError(InsulaError):
    """A change asked for on a read-only connection."""

    code = ErrorCode.OPERATION_DENIED
    prefix = "operation forbidden: "
    exit_status = 5


class AccessDeniedError(InsulaError):
    """The peer may not do this."""

    code = ErrorCode.ACCESS_DENIED
    prefix = "access denied: "
    exit_status = 5


class AuthenticationError(InsulaError):
    """The peer did not prove who it is."""

    code = ErrorCode.AUTH_FAILED
    domain = ErrorDomain.RPC
    prefix = "authentication failed: "
    exit_status = 5


class AuthenticationCancelledError(AuthenticationError):
    """A person was asked to prove who they are, and declined."""

    code = ErrorCode.AUTH_CANCELLED
    prefix = "authentication cancelled: "


class AuthenticationUnavailableError(AuthenticationError):
    """A person would have to be asked, and nothing is there that could ask; virsh then brings an agent of its own."""

    code = ErrorCode.AUTH_UNAVAILABLE
    prefix = "authentication unavailable: "


class AuthenticationRequiredError(InsulaError):
    """A call before the peer has proved who it is."""

    code = ErrorCode.RPC
    domain = ErrorDomain.RPC
    prefix = ""
    exit_status = 5


class NoSupportError(InsulaError):
    """An API that this driver does not have. The text is libvirt's public function name, and why it has it not."""

    code = ErrorCode.NO_SUPPORT
    domain = ErrorDomain.DOMAIN
    prefix = "this function is not supported by the connection driver: "
    exit_status = 6


class OperationUnsupportedError(InsulaError):
    """An API that exists, asked for in a form that does not."""

    code = ErrorCode.OPERATION_UNSUPPORTED
    prefix = "Operation not supported: "
    exit_status = 6


class ArgumentUnsupportedError(InsulaError):
    """An argument that is valid elsewhere and has no meaning here."""

    code = ErrorCode.ARGUMENT_UNSUPPORTED
    prefix = "argument unsupported: "
    exit_status = 6


class OperationInvalidError(InsulaError):
    """Not possible in the state the domain is in."""

    code = ErrorCode.OPERATION_INVALID
    prefix = "Requested operation is not valid: "
    exit_status = 3


class OperationFailedError(InsulaError):
    """It was tried and did not work."""


class DomainExistsError(OperationFailedError):
    """The name or the UUID is taken."""

    exit_status = 3


class NetworkExistsError(OperationFailedError):
    """The name or the UUID of a network is taken."""

    domain = ErrorDomain.NETWORK
    exit_status = 3


class NetworkFilterExistsError(OperationFailedError):
    """The name or the UUID of a network filter is taken."""

    domain = ErrorDomain.NWFILTER
    exit_status = 3


class StepError(OperationFailedError):
    """A step of a launch plan failed; what was done before has been undone.

    step: the step's one-line description; errno: the kernel's number, 0 when there is none.
    """

    def __init__(self, text: str, *, step: str = "", errno: int = 0) -> None:
        super().__init__(text)
        self.step = step
        self.errno = errno


class KeeperError(OperationFailedError):
    """The keeper is gone, or answered what it never should."""


class NobodyListensError(OperationFailedError):
    """There is no daemon at a socket."""


class OperationTimeoutError(InsulaError):
    """It did not happen in time."""

    code = ErrorCode.OPERATION_TIMEOUT
    prefix = "Timed out during operation: "
    exit_status = 7


class OperationAbortedError(InsulaError):
    """Somebody asked for it to stop."""

    code = ErrorCode.OPERATION_ABORTED
    prefix = "operation aborted: "


class ResourceBusyError(InsulaError):
    """Somebody else is using it."""

    code = ErrorCode.RESOURCE_BUSY
    prefix = "resource busy: "
    exit_status = 3


class DomainNotFoundError(InsulaError):
    """No domain has that name, id or UUID."""

    code = ErrorCode.NO_DOMAIN
    prefix = "Domain not found: "
    exit_status = 4


class MetadataNotFoundError(InsulaError):
    """The domain has no such metadata."""

    code = ErrorCode.NO_DOMAIN_METADATA
    prefix = "metadata not found: "
    exit_status = 4


class NetworkNotFoundError(InsulaError):
    """No network has that name or UUID."""

    code = ErrorCode.NO_NETWORK
    domain = ErrorDomain.NETWORK
    prefix = "Network not found: "
    exit_status = 4


class NetworkFilterNotFoundError(InsulaError):
    """No network filter has that name or UUID."""

    code = ErrorCode.NO_NWFILTER
    domain = ErrorDomain.NWFILTER
    prefix = "Network filter not found: "
    exit_status = 4


class NetworkFilterBindingNotFoundError(InsulaError):
    """No network filter stands before that port."""

    code = ErrorCode.NO_NWFILTER_BINDING
    domain = ErrorDomain.NWFILTER
    prefix = "Network filter binding not found: "
    exit_status = 4


class NetworkPortNotFoundError(InsulaError):
    """The network has no such port."""

    code = ErrorCode.NO_NETWORK_PORT
    domain = ErrorDomain.NETWORK
    prefix = "network port not found: "
    exit_status = 4


class NetworkMetadataNotFoundError(MetadataNotFoundError):
    """The network has no such metadata."""

    code = ErrorCode.NO_NETWORK_METADATA
    domain = ErrorDomain.NETWORK


class ImageNotFoundError(InsulaError):
    """No image has that name."""

    code = ErrorCode.NO_STORAGE_VOL
    domain = ErrorDomain.STORAGE
    prefix = "Storage volume not found: "
    exit_status = 4


class ImageExistsError(InsulaError):
    """An image of that name exists."""

    code = ErrorCode.STORAGE_VOL_EXIST
    domain = ErrorDomain.STORAGE
    prefix = "storage volume already exists: "
    exit_status = 3


class NoHostnameError(InsulaError):
    """The guest's host name cannot be told."""

    code = ErrorCode.NO_HOSTNAME
    prefix = "no hostname found: "
    exit_status = 4


class DeviceMissingError(InsulaError):
    """The domain has no such device."""

    code = ErrorCode.DEVICE_MISSING
    prefix = "device not found: "
    exit_status = 4


class RpcError(InsulaError):
    """Bytes that break the protocol, or a call before authentication."""

    code = ErrorCode.RPC
    domain = ErrorDomain.RPC
    prefix = ""
