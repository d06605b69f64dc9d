"""Steps performed inside, by the guest's first process before it becomes the guest's init, and by entering processes.

Each says which system calls it is (`engine.program`); the daemon compiles them, and a player plays them inside.
"""
