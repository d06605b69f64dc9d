"""Consoles: the guest's terminals, their viewers, logs, and terminals of the host that show them."""
