"""Steps performed inside, by the guest's first process before it becomes the guest's init, and by entering processes.

They are part of the keeper, from which these processes are forked, so they import next to nothing, and their fields are
plain JSON values: `GUEST_STEPS[name](**fields)` is the whole decoding.
"""
