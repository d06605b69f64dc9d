"""The verbs, in libvirt's words."""
