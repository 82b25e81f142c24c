"""Surrogate parts: filters and bases, convolution, nonlinearity, readout, history."""
