"""Traces in other forms, and back."""
