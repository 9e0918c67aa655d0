"""AMD's driver (ROCm): the look at a host and the values that come of it."""
