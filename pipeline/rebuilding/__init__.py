"""Making a published module again, from its statement and its checkpoint."""
