"""A fleet's engines, weights and caches in one directory that somebody can carry: what it holds, and what is wrong with it."""
