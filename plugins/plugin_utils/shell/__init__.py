"""The shell as bash means it, as far as start scripts need it."""
