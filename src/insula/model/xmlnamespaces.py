"""The name spaces of XML that are ours or libvirt's; whoever only writes a document needs no more than these."""

LXC_NAMESPACE = "http://libvirt.org/schemas/domain/lxc/1.0"
DNSMASQ_NAMESPACE = "http://libvirt.org/schemas/network/dnsmasq/1.0"
INSULA_NAMESPACE = "https://insula.dev/xmlns/domain/1"
LABELS_NAMESPACE = "https://insula.dev/xmlns/labels/1"
