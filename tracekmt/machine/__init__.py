"""The machine that a trace was recorded on."""
