"""A caller's standard streams, relayed to and from a program in a guest: by a command, or by a library."""
