"""TODO buffer."""
