"""In-silico experiments on any fitted model: what drives a cell of it, and through what.

All of them run the clip view from a cold start, with as much history as the model needs.
"""
