"""One process, asyncio: the socket, its sessions, and the wiring."""
