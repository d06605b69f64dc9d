"""The client's side of the socket, blocking and async."""
