"""What action plugins share: running modules on hosts, refusing, what is printed and written where."""
