"""What libvirt's schema says of a domain's document, for clients that ask for it (`virsh define --validate`).

The schema is the one that libvirt's own clients brought along, so it knows what they know; ours and its disagree about
what is refused, and a client that asks wants to hear of its slips of the pen.
"""

from pathlib import Path

from lxml import etree

from insula.errors import OperationUnsupportedError, SchemaError
from insula.model.visible import visible
from insula.model.xmlsource import parse

DOMAIN_SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
"""Where libvirt's packages put it."""
TOLD_MAX = 5
"""How many findings are told; one slip often makes several."""


def validate_by_schema(xml: str, schema: Path = DOMAIN_SCHEMA) -> None:
    """Let a domain's document pass that is valid by libvirt's schema. To be done aside: it reads files.

    Raises: XmlSyntaxError; SchemaError with what is wrong; OperationUnsupportedError where there is no schema.
    """
    document = parse(xml)
    try:
        rules = etree.RelaxNG(etree.parse(schema))
    except (OSError, etree.LxmlError) as error:
        raise OperationUnsupportedError(
            f"documents cannot be validated: '{schema}' cannot be read ({visible(str(error))}); it comes with "
            "libvirt's library and clients; or ask without validation: what is wrong is refused anyway"
        ) from error
    if rules.validate(document):
        return
    found = dict.fromkeys(f"line {each.line}: {each.message}" for each in rules.error_log)
    raise SchemaError(f"by {schema}: {visible('; '.join([*found][:TOLD_MAX]))}")
