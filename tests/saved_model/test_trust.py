"""What a model does beside computing is found before it is run."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.fault import Fault
from pipeline.saved_model.graph import saved_model_class
from pipeline.saved_model.inspection import inspect_saved_model
from pipeline.saved_model.meta_graphs import read_meta_graph
from pipeline.saved_model.trust import find_deeds, refuse_untrusted
from tests.saved_model.graphs import write_graph
from tests.saved_model.programs import PROGRAMS, add_node, add_text, calls_python, declare_asset, write_program


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_graph(tmp_path_factory.mktemp("honest") / "model")


@pytest.mark.parametrize(("program", "deed"), PROGRAMS.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_each_hidden_way_is_found(program: Callable[[Any], None], deed: str, honest: Path) -> None:
    message = saved_model_class().FromString((honest / "saved_model.pb").read_bytes())
    program(message.meta_graphs[0])
    meta = read_meta_graph(message.meta_graphs[0], lambda name: True)
    model = replace(inspect_saved_model(honest), meta_graphs=(meta,))
    (found,) = find_deeds(model, 0, honest)
    assert found == deed


def test_python_functions_are_refused_without_a_hint_that_cannot_help(tmp_path: Path) -> None:
    folder = write_program(tmp_path / "model", calls_python)
    model = inspect_saved_model(folder)
    (deed,) = find_deeds(model, 0, folder)
    assert deed.startswith("calls Python functions")
    with pytest.raises(
        Fault, match=r"^m: it cannot be run here: it calls Python functions of .* has; save it"
    ) as raised:
        refuse_untrusted("m", model, 0, folder)
    assert "TRUST" not in str(raised.value)


def saved_by_tensorflow_1(meta: Any) -> None:
    """With a saver, and an initializer that fills a table from an asset."""
    nodes = meta.graph_def.node
    declare_asset(meta)
    add_node(nodes, "InitializeTableFromTextFileV2", "table", add_text(nodes, "/home/ann/words.txt").name, name="fill")
    meta.collection_def["saved_model_main_op"].node_list.value.append("fill")
    add_text(nodes, "model", "save/filename")
    add_node(nodes, "PlaceholderWithDefault", "save/filename", name="save/Const")
    add_node(nodes, "SaveV2", "save/Const", name="save/SaveV2")
    add_node(nodes, "RestoreV2", "save/Const", name="save/RestoreV2")
    add_node(nodes, "NoOp", "^save/RestoreV2", name="save/restore_all")
    meta.saver_def.filename_tensor_name, meta.saver_def.save_tensor_name = "save/Const:0", "save/SaveV2:0"
    meta.saver_def.restore_op_name = "save/restore_all"


def test_savers_and_tables_are_no_deeds(tmp_path: Path) -> None:
    folder = write_program(tmp_path / "model", saved_by_tensorflow_1)
    assert list(find_deeds(inspect_saved_model(folder), 0, folder)) == []


def test_an_asset_that_leads_elsewhere(tmp_path: Path) -> None:
    """A clone of a stranger's repository has its links; those of a cache of Hugging Face lead to its own files."""
    folder = write_graph(tmp_path / "models--a--b/snapshots/1")
    (folder / "assets").mkdir()
    (tmp_path / "models--a--b/blobs").mkdir()
    (tmp_path / "models--a--b/blobs/123").touch()
    (folder / "assets/words.txt").symlink_to("../../../blobs/123")
    model = inspect_saved_model(folder)
    assert list(find_deeds(model, 0, folder)) == []
    (folder / "assets/more.txt").symlink_to("/etc/hostname")
    message = (
        r"^model: a model is a program, and this one reads .*, through links: assets/more\.txt -> /.* pass TRUST=1$"
    )
    with pytest.raises(Fault, match=message):
        refuse_untrusted("model", model, 0, folder)
