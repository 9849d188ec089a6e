"""Sizes of files, for people."""


def show_size(count: int) -> str:
    """Returns a number of bytes in words: "1.3 MB", or all digits of a small one: "586 bytes"."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e5 else f"{count:,} bytes"
