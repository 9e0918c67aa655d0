"""Who takes content from whom: the chain, its certificate, what is told of it."""
