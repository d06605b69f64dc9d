"""One container, from a spec to a running init and back. Knows no libvirt."""
