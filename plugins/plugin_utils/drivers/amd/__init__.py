"""AMD's driver (ROCm): what is asked for, what to do."""
