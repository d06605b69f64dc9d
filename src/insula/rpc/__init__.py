"""The libvirt wire without I/O."""
