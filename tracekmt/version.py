"""Version of the package, for build metadata and traces."""

VERSION = "0.1.0"
