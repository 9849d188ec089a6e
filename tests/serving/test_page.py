"""docs/serving.md: what can be tested of its files without a hub and a server."""

import re
from typing import Any

import pytest

from tests.conftest import ROOT
from tests.snippets import blocks_of

PAGE = (ROOT / "docs/serving.md").read_text(encoding="utf-8")
MODELS, BATCHING = blocks_of("docs/serving.md", "proto")
# BatchingParameters of tensorflow_serving/servables/tensorflow/session_bundle_config.proto, which no package has: its
# numbers, each in a message of its own, and its lists.
NUMBERS = {"max_batch_size", "batch_timeout_micros", "max_enqueued_batches", "num_batch_threads"}


def read_batching(text: str) -> tuple[dict[str, int], list[int]]:
    """Returns the numbers of a file of BatchingParameters by name, and allowed_batch_sizes."""
    lines = text.splitlines()
    numbers = [re.fullmatch(r"(\w+) \{ value: (\d+) \}", line) for line in lines]
    sizes = [re.fullmatch(r"allowed_batch_sizes: (\d+)", line) for line in lines]
    assert all(number or size for number, size in zip(numbers, sizes, strict=True)), text
    return {match[1]: int(match[2]) for match in numbers if match}, [int(match[1]) for match in sizes if match]


def test_the_batching_file_keeps_the_server_s_rules() -> None:
    numbers, sizes = read_batching(BATCHING)
    assert numbers.keys() <= NUMBERS
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == numbers["max_batch_size"]


def test_the_model_file_is_the_server_s() -> None:
    text_format = pytest.importorskip("google.protobuf.text_format")
    module = pytest.importorskip("tensorflow_serving.config.model_server_config_pb2")
    config: Any = text_format.Parse(MODELS, module.ModelServerConfig())
    vit, features = config.model_config_list.config
    assert (vit.name, features.base_path) == ("vit", "/models/vit_features")
    assert list(vit.model_version_policy.specific.versions) == [1, 2]
    assert dict(vit.version_labels) == {"stable": 1, "canary": 2}
    with pytest.raises(text_format.ParseError, match="model_version_polcy"):
        text_format.Parse(MODELS.replace("policy", "polcy"), module.ModelServerConfig())
    policies = re.findall(r"`((?:latest|specific|all) \{.*?\})`", PAGE)
    assert len(policies) == 4
    for policy in policies:
        text_format.Parse(f"model_config_list {{ config {{ model_version_policy {{ {policy} }} }} }}", type(config)())


def test_commands_that_were_not_run_are_marked() -> None:
    """Of the commands, those of docker cannot be run here; each is followed by the sentence that says so."""
    blocks = re.findall(r"^```sh\n(.*?)^```\n\n(.*?)$", PAGE, re.MULTILINE | re.DOTALL)
    docker = [after for block, after in blocks if block.startswith("docker ")]
    assert len(docker) == 1
    assert all(after.startswith("Not run here: no docker.") for after in docker)
    for block, _ in blocks:
        assert block.startswith("docker ") or "docker" not in block
