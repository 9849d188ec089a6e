"""What is read of a module, and what a member's YAML file says of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.runtimes.modules import check_member, find_activation, name_of, read_publication
from pipeline.saved_model.classes import Classes
from tests.runtimes.test_judging import TEST


def test_the_activation_is_that_of_the_probabilities() -> None:
    assert find_activation(TEST) == "softmax"
    for name in ("softmax", "sigmoid"):
        assert find_activation(replace(TEST, probabilities=Classes(name).probabilities(TEST.outputs))) == name
    single = replace(TEST, outputs=np.zeros((1, 1), np.float32), probabilities=np.full((1, 1), 0.5, np.float32))
    assert find_activation(single) == "sigmoid"


def test_a_member_tells_handle_publisher_and_licence(tiny: Path) -> None:
    publication = read_publication(tiny / "mini.yaml", Head.FE)
    assert (publication.handle, publication.title, publication.version) == ("tester/mini_fe/1", "mini_fe", 1)
    assert (publication.author, publication.license) == ("tester", "apache-2.0")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            '{"checkpoint": {"name": "rati"}, "model": {"image_size": 16}}',
            "it was made of the checkpoint rati, and .*mini.yaml names mini; expected",
        ),
        (
            '{"checkpoint": {"name": "mini"}, "model": {"image_size": 32}}',
            "it was made for an image_size of 32, and .*mini.yaml names 16; expected",
        ),
        ('{"checkpoint": {"name": "mini"}}', "it was made for an image_size of None, and"),
        ("[]", "it was made of the checkpoint None, and"),
        (None, r"provenance\.json: no such file; convert the member again"),
    ],
)
def test_the_yaml_file_of_another_member_is_refused(content: str | None, message: str, tiny: Path) -> None:
    folder = tiny / "module/assets.extra"
    folder.mkdir(parents=True)
    (folder / "provenance.json").write_text('{"checkpoint": {"name": "mini"}, "model": {"image_size": 16}}')
    check_member(tiny / "module", tiny / "mini.yaml")
    (folder / "provenance.json").unlink()
    if content is not None:
        (folder / "provenance.json").write_text(content)
    with pytest.raises(Fault, match=message):
        check_member(tiny / "module", tiny / "mini.yaml")


@pytest.mark.parametrize(
    ("folder", "name"),
    [("artifacts/mini/fe", "mini_fe"), ("mini/classification", "mini_classification"), ("a/my_model", "my_model")],
)
def test_a_module_without_a_member_is_called_after_its_folder(folder: str, name: str, tmp_path: Path) -> None:
    assert name_of(tmp_path / folder) == name
