"""Mechanistic parts, one file each: equation, citation, parameters with bounds."""
