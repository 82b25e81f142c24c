"""Contenders that run in the peers' own interpreter; see requirements.txt."""
