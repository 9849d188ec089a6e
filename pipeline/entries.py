"""Entries of the hub's index.json: what they say of a module for those who list, compare and search modules."""

from typing import Any

from pipeline.base.heads import HEADS
from pipeline.facts.collection import Collection, Module


def entry_of(
    head: str, module: Module, collection: Collection, report: dict[str, Any], files: list[dict[str, Any]]
) -> dict[str, Any]:
    """Returns a module's entry.

    Every figure is the report's; what is not known is left out. `measured` and `quoted` are the classifier's accuracies
    (0 to 1), also for the feature extractor, which is the same model without its last layer; one on images of fewer
    `classes` than the model has `outputs`, or on `training_images`, is not to be compared with others. The speed is
    that of the evaluation on the publisher's machine.

    Args:
        head: "classification" or "fe".
        module: the member's section `module`.
        collection: the collection it belongs to.
        report: what validate wrote.
        files: of the module, each with path, size and sha256, plots with a title, too; the first is the tarball.
    """
    found, accuracy = report["modules"][head], report["accuracy"]
    entry = {
        "title": module.title,
        "task": HEADS[head],
        "collection": collection.name,
        "license": collection.license,
        "dataset": collection.dataset_name,
        "variant": report["model"]["variant"],
        "image_size": report["model"]["image_size"],
        "parameters": found["weights"]["parameters"],
        "bytes": found["bytes"],
        "files": files,
    }
    if "top1" in accuracy:
        entry["measured"] = {
            "top1": accuracy["top1"],
            "interval": accuracy["top1_interval"],
            "images": accuracy["images"],
            "dataset": accuracy["dataset"],
            "classes": accuracy["classes"],
            "outputs": accuracy["outputs"],
            "training_images": accuracy["training_images"],
            "images_per_second": accuracy["images_per_second"],
        }
    if accuracy["reported"]:
        entry["quoted"] = {"top1": accuracy["reported"]["top1"], "source": accuracy["reported"]["source"]}
    return entry
