"""Other programs' configuration: libvirt's two calls, which know texts alone, and ours, which tell what is lost."""

import json

from insula.daemon.incomingcall import Answer, Handler, IncomingCall
from insula.rpc.procedures import Insula, Procedure, Remote


async def _xml_from_native(request: IncomingCall, native_format: str, native_config: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (await request.services.conversions.xml_of(native_format, native_config),)


async def _xml_to_native(request: IncomingCall, native_format: str, domain_xml: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return ((await request.services.conversions.text_of(native_format, domain_xml)).text,)


async def _read(request: IncomingCall, format_: str, request_: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (json.dumps(await request.services.conversions.read(format_, request_)),)


async def _write(request: IncomingCall, format_: str, xml: str, flags: int) -> Answer:
    request.allow_flags(flags, 0)
    return (json.dumps(await request.services.conversions.write(format_, xml)),)


HANDLERS: dict[Procedure, Handler] = {
    Remote.CONNECT_DOMAIN_XML_FROM_NATIVE: _xml_from_native,
    Remote.CONNECT_DOMAIN_XML_TO_NATIVE: _xml_to_native,
    Insula.CONFIG_READ: _read,
    Insula.CONFIG_WRITE: _write,
}
