"""Cards that a program of the host serves, without any right on the host's network."""
