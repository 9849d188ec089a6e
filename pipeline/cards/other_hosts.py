"""The pages for other hosts, which the hub keeps beside a version's card so that it alone can be mirrored."""

from pathlib import Path

from pipeline.base.heads import Head
from pipeline.base.text import read_generated

# Their names in the hub, below <publisher>/<module>/<version>/.
HUGGING_FACE = "huggingface.md"
KAGGLE_MODEL = "kaggle-model.json"
KAGGLE_VARIATION = "kaggle-variation.json"


def written_by_card(head: Head) -> dict[str, str]:
    """Returns where card writes each page of a module, below its member's folder, by its name in the hub."""
    return {
        HUGGING_FACE: f"{head}.huggingface.md",
        KAGGLE_MODEL: "kaggle/model-metadata.json",
        KAGGLE_VARIATION: f"kaggle/{head}/model-instance-metadata.json",
    }


def read_pages(folder: Path, head: Head) -> dict[str, str]:
    """Reads the pages that card wrote for a module, by their names in the hub; make has it write all of them.

    Args:
        folder: of the member.
        head: which of its modules it is.
    """
    paths = {name: folder / place for name, place in written_by_card(head).items()}
    return {name: read_generated(path, "delete it and run make card") for name, path in paths.items() if path.is_file()}
