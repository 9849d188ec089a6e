"""The exception for what cannot be translated."""

from pipeline.base.fault import Fault


class Untranslatable(Fault):
    """A computation has an operation that cannot be translated; the message is one sentence with its name."""
