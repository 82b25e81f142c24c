"""In-silico experiments on any fitted model: what drives a cell, and through what.

All of them run the clip view from a cold start, with all the history the model needs.
"""
