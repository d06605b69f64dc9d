"""Procedure → verb: one table a subject, together every procedure this daemon answers."""
