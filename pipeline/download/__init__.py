"""Downloads one remote file through the cache."""
