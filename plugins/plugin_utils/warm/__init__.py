"""The control node's half of compile caches: what of a service matters to compiled code, and the store of caches."""
