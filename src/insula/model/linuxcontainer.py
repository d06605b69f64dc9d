"""The dialect of 2007, `<domain type='linuxcontainer'>`, rewritten into libvirt's `lxc` domain type.

It was proposed on libvirt's list before there was an LXC driver, went through three forms, and never was in a release.
All three are read. The `<container>` block holds

    <filesystem>                                        host directories, seen in the guest:
      <mount>/etc = /home/user/lxc/etc</mount>            December 2007: guest = host
      <mount><source dir='…'/><target dir='…'/></mount>   January 2008, first
    <filesystem type='mount'><source dir='…'/>…           January 2008, second; libvirt's until today
    <application>/usr/sbin/container_init</application>
    <network hostname='…'> with <ip address='…' netmask='…'/>, <gateway address='…'/>, <nameserver address='…'/>
    <cpushare>, <memory>                                  in the block, or beside it

Where the mails leave something open, reading is tolerant: a value may stand as text or as attribute, gateway and
nameserver inside `<ip>` or beside it. What is not understood moves to the domain and is kept there.

Source: "[RFC] Add Container support to libvirt", D. Leskovec, libvir-list, 2007-12-28 and 2008-01-15 (twice), with
D. Berrange's answer of 2008-01-15.
"""

from collections.abc import Iterator
from ipaddress import IPv4Network

from lxml import etree

from insula.model.commandwords import words_of
from insula.model.xmlnamespaces import INSULA_NAMESPACE
from insula.model.xmlsource import fault

DOMAIN_TYPE = "linuxcontainer"
SHELL = "/bin/sh"


def converted(root: etree._Element) -> etree._Element:
    """Return root, a `linuxcontainer` domain, changed into an `lxc` domain; lines of the source stay with the elements.

    Raises: XmlError with the line for a container block nobody could start.
    """
    containers = root.findall("container")
    if len(containers) != 1:
        raise fault(root, f"has {len(containers)} <container> blocks, expected one")
    container = containers[0]
    root.set("type", "lxc")
    _convert_application(root, container)
    for share in (*root.findall("cpushare"), *container.findall("cpushare")):
        _below(root, "cputune", share).append(_renamed(share, "shares"))
    devices = _below(root, "devices", container)
    for each in list(container):
        if each.tag in ("filesystem", "mounts", "mount"):
            devices.extend(list(_filesystems(each)))
        elif each.tag == "network":
            devices.append(_interface(root, each))
        else:
            root.append(each)
    root.remove(container)
    return root


def _convert_application(root: etree._Element, container: etree._Element) -> None:
    """Make the application the guest's init; one without a path is left to a shell to find."""
    applications = container.findall("application")
    if len(applications) != 1:
        raise fault(
            container, f"has {len(applications)} <application> elements, expected one: what the guest runs first"
        )
    application = applications[0]
    line = (application.text or "").strip()
    if not line:
        raise fault(application, "is empty, expected the program the guest runs first")
    try:
        words = words_of(line)
    except ValueError as error:
        raise fault(application, f"found '{line}', expected a command with its quotes closed") from error
    if not words[0].startswith("/"):
        words = (SHELL, "-c", f"exec {line}")
    system = _below(root, "os", application)
    _child(system, "type", application, text="exe")
    _child(system, "init", application, text=words[0])
    for word in words[1:]:
        _child(system, "initarg", application, text=word)
    container.remove(application)


def _filesystems(element: etree._Element) -> Iterator[etree._Element]:
    """Yield libvirt's filesystem elements for one of the three spellings."""
    if element.tag == "mount":
        yield _mount(element)
        return
    mounts = element.findall("mount")
    if not mounts:
        yield _with_directories(element)
    yield from map(_mount, mounts)


def _mount(element: etree._Element) -> etree._Element:
    text = (element.text or "").strip()
    if not text:
        element.set("type", "mount")
        return _with_directories(_renamed(element, "filesystem"))
    guest, equals, host = (each.strip() for each in text.partition("="))
    if not (guest and equals and host):
        raise fault(element, f"found '{text}', expected 'GUEST DIRECTORY = HOST DIRECTORY'")
    filesystem = _new("filesystem", element, type="mount")
    _child(filesystem, "source", element, dir=host)
    _child(filesystem, "target", element, dir=guest)
    return filesystem


def _with_directories(filesystem: etree._Element) -> etree._Element:
    """Return filesystem with the text of its source and target moved to where libvirt has it."""
    for name in ("source", "target"):
        each = filesystem.find(name)
        if each is not None and (each.text or "").strip():
            each.set("dir", (each.text or "").strip())
            each.text = None
    return filesystem


def _interface(root: etree._Element, network: etree._Element) -> etree._Element:
    """Return libvirt's interface for a network block, leaving hostname and nameservers in root's metadata.

    The proposal names no bridge, so the host's side is left to the administrator (type ethernet) unless one is given.
    """
    bridge = network.get("bridge")
    interface = _new("interface", network, type="bridge" if bridge else "ethernet")
    if bridge:
        _child(interface, "source", network, bridge=bridge)
    for ip in network.iter("ip"):
        _child(interface, "ip", ip, **_address(ip))
    for gateway in network.iter("gateway"):
        _child(interface, "route", gateway, family="ipv4", address="0.0.0.0", prefix="0", gateway=_value(gateway))
    hostname = network.get("hostname") or next(map(_value, network.iter("hostname")), None)
    if hostname is not None:
        _child(_settings(root, network), _ours("hostname"), network, text=hostname)
    for nameserver in network.iter("nameserver"):
        _child(_settings(root, network), _ours("nameserver"), nameserver, address=_value(nameserver))
    return interface


def _address(ip: etree._Element) -> dict[str, str]:
    """Return the attributes of libvirt's ip element; a netmask becomes a prefix."""
    netmask = ip.get("netmask")
    if netmask is None:
        return {"address": _value(ip)}
    try:
        prefix = IPv4Network(f"0.0.0.0/{netmask}").prefixlen
    except ValueError as error:
        raise fault(ip, f"found '{netmask}', expected a netmask such as 255.255.255.0", attribute="netmask") from error
    return {"address": _value(ip), "prefix": str(prefix)}


def _value(element: etree._Element) -> str:
    """Return the address attribute, or the text."""
    text = element.get("address") or (element.text or "").strip()
    if not text:
        raise fault(element, "is empty, expected an address")
    return text


def _settings(root: etree._Element, origin: etree._Element) -> etree._Element:
    return _below(_below(root, "metadata", origin), _ours("domain"), origin)


def _ours(name: str) -> str:
    return f"{{{INSULA_NAMESPACE}}}{name}"


def _below(parent: etree._Element, tag: str, origin: etree._Element) -> etree._Element:
    """Return parent's child tag, made if there is none."""
    found = parent.find(tag)
    return found if found is not None else _child(parent, tag, origin)


def _child(
    parent: etree._Element, tag: str, origin: etree._Element, *, text: str | None = None, **attributes: str
) -> etree._Element:
    child = _new(tag, origin, **attributes)
    child.text = text
    parent.append(child)
    return child


def _new(tag: str, origin: etree._Element, **attributes: str) -> etree._Element:
    """Return an element that errors will say stands at origin's line."""
    element = etree.Element(tag, attributes, {"insula": INSULA_NAMESPACE} if tag.startswith("{") else None)
    element.sourceline = origin.sourceline  # type: ignore[misc]  # lxml can; its stubs do not know
    return element


def _renamed(element: etree._Element, tag: str) -> etree._Element:
    element.tag = tag
    return element
