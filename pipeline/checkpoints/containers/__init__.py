"""The kinds of files that hold checkpoints: names, shapes and types first, values one array at a time."""
