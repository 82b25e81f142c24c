"""What a model costs: exact counts from its jaxpr, memory, and denominators."""
