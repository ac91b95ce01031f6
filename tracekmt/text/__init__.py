"""Parsers of the text that users type: call sets, conditions, sizes, durations and TOML files."""
