"""Why an operation was refused in a guest: tracing a program, and judging what was refused to it."""
