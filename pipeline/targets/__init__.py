"""Places that a hub is released to: a folder, and object stores that can write on a condition."""
