"""Target processes: finding, starting and watching them, and reading their properties."""
