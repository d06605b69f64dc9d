"""The machine view: what guests read of their machine, served by one process for all of them."""
