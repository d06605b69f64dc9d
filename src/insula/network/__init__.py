"""Where interfaces come from."""
