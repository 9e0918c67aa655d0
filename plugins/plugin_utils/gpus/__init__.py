"""GPUs, decided: what was declared against what is there, health, MIG layouts, settings."""
