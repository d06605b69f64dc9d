"""A desktop without a screen: programs with windows, used and read as a person with a screen reader would."""
