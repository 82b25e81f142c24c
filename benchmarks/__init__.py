"""The speed of `retina` beside that of named peers, in one run, as a ratio."""
