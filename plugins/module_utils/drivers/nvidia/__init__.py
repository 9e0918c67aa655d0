"""NVIDIA's driver: the look at a host and the values that come of it."""
