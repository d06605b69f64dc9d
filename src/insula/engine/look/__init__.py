"""Looking into running guests from a process that may be killed."""
