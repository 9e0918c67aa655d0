"""What a host does with other programs and its files: commands, systemd, package managers, detached jobs, sets of files."""
