"""What people bring: start scripts, units, compose files, manifests, whole menus, read and moved to a release."""
