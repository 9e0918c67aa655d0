"""Content in chunks from host to host: manifest, what a host has of it, giving, taking, the agent that does both."""
