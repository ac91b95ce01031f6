"""The version of this package, for the metadata of the build and for traces."""

VERSION = "0.1.0"
