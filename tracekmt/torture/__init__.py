"""Runs a program again and again, with one failing call each, and tells what became of it."""
