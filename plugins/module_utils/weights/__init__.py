"""The host's half of weights: manifests, the store, downloads from a model hub."""
