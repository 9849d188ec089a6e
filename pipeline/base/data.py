"""Files that the project reads beside its code, such as templates and labels."""

from pathlib import Path

_PACKAGE = Path(__file__).parents[1]


def data_path(name: str) -> Path:
    """Returns the path of a file or folder of the project: `templates`, `model_cards/vit/imagenet2012.tsv`.

    In a checkout they lie beside `pipeline/`. In a wheel they lie inside of it (setup.py), so that they share no folder
    with other packages.
    """
    packed = _PACKAGE / name
    return packed if packed.exists() else _PACKAGE.parent / name
