"""What files for other runtimes have in common."""
