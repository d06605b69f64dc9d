"""What Linux offers, as typed Python; no policy."""
