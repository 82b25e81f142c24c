"""The same verbs as commands; nothing heavy is imported before a command needs it."""
