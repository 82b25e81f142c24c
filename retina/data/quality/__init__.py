"""What is odd in a recording: one question per file, each answer a few findings."""
