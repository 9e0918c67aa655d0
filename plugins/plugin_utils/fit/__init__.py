"""What fits and can run: memory, GPUs, drivers, kernels, data types."""
