"""Writing a bundle: what a plan needs, what of it is there, what is copied."""
