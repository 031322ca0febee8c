"""Sound cards as control sees them: which there are, what they can do, how they are named."""
