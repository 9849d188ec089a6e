"""What make's stamps hold: digests of files and members, where checkpoints and images lie, receipts, settings."""
