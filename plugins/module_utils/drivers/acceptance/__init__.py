"""Acceptance of GPUs, and DCGM: jobs on a host and what they record."""
