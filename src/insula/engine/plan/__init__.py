"""What a launch will do, as a value, and how it follows from a spec and facts."""
