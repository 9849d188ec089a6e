"""How a person runs a command: from a checkout with `python -m`, or with the script of the wheel."""

SCRIPT = "vit-publisher"
_by_script: list[str] = []  # the command that the script runs in this process, if it does


def program(module: str) -> str:
    """Returns how a module of `pipeline` was run: "python -m pipeline.audit" or "vit-publisher check-hub"."""
    return f"{SCRIPT} {_by_script[0]}" if _by_script else f"python -m pipeline.{module}"


def run_by_script(command: str) -> None:
    """Says that the script runs this command."""
    _by_script[:] = [command]
