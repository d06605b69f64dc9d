"""Everything that is done to launch a container, as values: each step says why, and knows how to perform itself."""
