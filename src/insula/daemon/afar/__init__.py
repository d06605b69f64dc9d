"""Clients from other machines: certificates, and the shaking of hands by TLS."""
