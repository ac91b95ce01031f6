"""Tables of a trace, as Parquet: its calls, their arguments, objects and residency."""
