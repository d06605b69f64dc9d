"""Core dumps of a guest's process tree: an archive of ELF cores, one a process, as the kernel writes them."""
