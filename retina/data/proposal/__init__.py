"""From a person's own files to a card with its blanks marked."""
