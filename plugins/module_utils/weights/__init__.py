"""Model weights on disk: manifests, fingerprints, the store on a host, and downloads from a model hub."""
