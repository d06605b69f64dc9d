"""Kinds of interfaces: how each is made for a guest, and what becomes of it at the guest's end."""
