"""The lab: Debian machines that this computer boots by itself, so that real roles meet real hosts without hardware."""
