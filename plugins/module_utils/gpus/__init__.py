"""GPUs as a host shows them: NVIDIA, AMD, MIG, topology, and the settings that are kept on them."""
