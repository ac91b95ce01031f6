"""Entry point of `python -m tracekmt`."""

from tracekmt.cli import main

main()
