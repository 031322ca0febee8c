"""audiod: a user-space audio server in the spirit of sndiod."""

__version__ = "0.1.0"
