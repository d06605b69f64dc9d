"""libvirt's nouns, frozen: what the XML says, and nothing that acts."""
