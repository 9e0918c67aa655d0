"""Plain values of what Ansible hands over, and typed values from JSON."""
