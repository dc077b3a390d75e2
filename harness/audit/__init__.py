"""The gate's own test: replays of stored rows with planted effects, and real adapters whose truth is known."""
