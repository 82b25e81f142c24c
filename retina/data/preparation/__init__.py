"""What a recording goes through before models see it: one step per file.

A step is a function NAME(recording, value) -> Recording: pure, and it adds a line to
the recording's notes that says what it did. A card asks for steps in order:

    prepare = [{ around_fields = 4 }, { downsample = 2 }, { unique = 0.5 }]
"""
