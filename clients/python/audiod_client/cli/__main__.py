"""`python -m audiod_client.cli` is `audioctl`."""

from __future__ import annotations

from audiod_client.cli import main

main()
