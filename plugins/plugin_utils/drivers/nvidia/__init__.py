"""NVIDIA's driver: what is asked for, what is wrong, what to do."""
