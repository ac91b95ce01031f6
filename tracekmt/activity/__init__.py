"""The activity of a recorded program: its objects, their memory and their residency, call by call."""
