"""One file per model: a function of the file's name, (spec, *, ...) -> Model."""
