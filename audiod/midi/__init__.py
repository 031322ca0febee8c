"""MIDI: programs, hardware ports and the server itself, connected by hubs."""
