"""Compile caches that hosts give to each other: what they are for, what an engine compiled, keeping and placing them."""
