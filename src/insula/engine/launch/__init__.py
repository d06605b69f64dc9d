"""A container's way from a plan to a running init and back, on the daemon's (or the SDK's) side."""
