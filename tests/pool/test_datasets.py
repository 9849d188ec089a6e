"""The data sets' label files agree with each other and with the order of their sources."""

from pipeline.images import labels
from pipeline.pool import datasets
from tests.conftest import ROOT


def test_label_files_agree_with_each_other_and_with_their_sources() -> None:
    folder = ROOT / "model_cards"
    large = {label.key: label.name for label in labels.read(folder / "labels/imagenet21k.tsv", 21_843)}
    small = {label.key: label.name for label in labels.read(folder / "vit/imagenet2012.tsv", 1000)}
    assert {key for key in small if key not in large} == {"n04399382"}  # teddy bear, which the large list lacks
    assert all(large[key] == name for key, name in small.items() if key in large)
    for ds in ("cifar100", "oxford_iiit_pet", "resisc45"):  # sorted, as in TensorFlow Datasets
        keys = [
            label.key.lower() for label in labels.read(folder / f"labels/{ds}.tsv", datasets.FINE_TUNING[ds].classes)
        ]
        assert keys == sorted(keys)
    distances = labels.read(folder / "labels/kitti.tsv", 4)
    assert [label.key for label in distances] == ["up_to_8m", "up_to_20m", "beyond_20m", "no_vehicle"]
