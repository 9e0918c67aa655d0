"""What a host, or the control node, does with other programs: package managers, proxies."""
