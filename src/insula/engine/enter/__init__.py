"""Processes and functions that enter a running container, and the streams they are given."""
