"""The simulated machine: processes, handle tables, and the objects behind handles."""
