"""The keeper: the one small process that is the parent of every guest's init; what it imports is small, too."""
