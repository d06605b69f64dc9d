"""Labels: names with values that people give domains to find them by, kept in an element of `<metadata>`.

    <labels:labels xmlns:labels='https://insula.dev/xmlns/labels/1'>
      <labels:label name='role'>web</labels:label>
    </labels:labels>

Anybody who may change metadata can change it, by `insula label` or `virsh metadata`; what makes no sense there is
passed over.
"""

from insula.model.domain import DomainDefinition
from insula.model.foreign import ForeignElement
from insula.model.xmlnamespaces import LABELS_NAMESPACE


def labels_of(domain: DomainDefinition) -> dict[str, str]:
    """Return a domain's labels by name, in the order they stand in."""
    for each in domain.metadata.foreign if domain.metadata is not None else ():
        if isinstance(each.item, ForeignElement) and each.item.namespace == LABELS_NAMESPACE:
            return {
                name: "".join(part for part in label.content if isinstance(part, str)).strip()
                for label in each.item.content
                if isinstance(label, ForeignElement)
                and label.local_name == "label"
                and (name := dict(label.attributes).get("name"))
            }
    return {}
