"""What a comparison found, and the ways to say it."""
