"""What of the host's packet filter is ours: rules of virtual networks and of bridge ports, in tables of our own."""
