"""The REMOTE program: every libvirt procedure that means something for a container, one line each.

Numbers, layouts, limits, priorities, streams and permissions are libvirt's remote_protocol.x (9.0.0, and 11.3.0 for
what came later). DOMAIN_SET_SCHEDULER_PARAMETERS, which is annotated there as a look, needs `domain:write`.
"""

from insula.rpc.remotedomains import DomainRows
from insula.rpc.remotehost import HostRows
from insula.rpc.remoteobjects import ObjectRows


class Remote(HostRows, DomainRows, ObjectRows):
    """libvirt's own procedures."""
