"""Words for people, names that are safe in units and paths, addresses, problems that are collected."""
