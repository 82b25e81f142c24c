"""Where jobs run: one file per executor, a function of the file's name."""
