"""Who vouches for what: statements about modules, signing keys, and the signed metadata of a hub."""
