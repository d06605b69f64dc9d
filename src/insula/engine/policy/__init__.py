"""What guests may ask of the kernel and what they may not, as data."""
