"""Parts of a launch plan, a file for each concern: pure functions from a spec and facts to steps with their reasons."""
