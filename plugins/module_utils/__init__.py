"""What runs on hosts, and may run on the control node: the standard library and Python 3.9, nothing else."""
