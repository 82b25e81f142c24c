"""Recordings written in layouts that other programs read, each with its card."""
