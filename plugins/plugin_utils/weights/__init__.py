"""The control node's half of weights: fingerprints, progress."""
