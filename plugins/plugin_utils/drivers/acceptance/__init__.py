"""Acceptance of GPUs, and DCGM: what is asked for, verdicts."""
