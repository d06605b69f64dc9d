"""Who decides what a client may do: polkit and other access drivers, and what they are told of each call."""
