"""Networks of one's own: the snippets of the guide, in each library, and what is refused."""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline import convert
from pipeline.base.fault import Fault
from pipeline.base.heads import Head
from pipeline.checkpoints import npz
from pipeline.model import float64
from pipeline.model.facts import describe_model
from pipeline.model.networks import announce, open_network
from pipeline.model.parameters import nest_parameters
from pipeline.model.section import Model, record_section, restore_section
from pipeline.saved_model.classes import Classes
from tests.conftest import ROOT
from tests.snippets import blocks_of

pytestmark = pytest.mark.slow

IMAGES = np.random.default_rng(0).uniform(-1, 1, (3, 28, 28, 3)).astype(np.float32)
SECTION = Model("small", 28, 10, dropout=0.1, architecture="my_model.py:MyNet")
STATE = Model("small", 28, 10, architecture="my_model.py:MyNet")
EXAMPLE = ROOT / "model_cards" / "own" / "cnn.py"


def snippets(heading: str) -> list[str]:
    """Returns the Python snippets of a section of the guide."""
    return blocks_of("docs/own_networks.md", section=heading)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder, the current one, whose my_model.py can be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    sys.modules.pop("my_model", None)


def write_snippets(heading: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Writes my_model.py and mine.npz as a section of the guide does; returns the module, and what the second left."""
    *network, save = snippets(heading)
    (folder / "my_model.py").write_text(network[0] if network else EXAMPLE.read_text())
    left: dict[str, Any] = {}
    exec(save, left)
    return importlib.import_module("my_model"), left


def expected_logits(library: str, module: Any, left: Mapping[str, Any]) -> Any:
    """Returns the logits of IMAGES as the library itself computes them of what the second snippet left."""
    import jax

    if library == "Plain JAX":
        net, params = module.Cnn(28, 10, 0.1), left["params"]
        return net.head(params, net.features(params, IMAGES, False, {}))
    if library == "Flax linen":
        return module.Net(10, 0.1).apply(left["variables"], IMAGES, False)
    if library == "Flax NNX":
        return left["net"].head(left["net"].body(IMAGES, train=False))
    if library == "Haiku":
        net, params = left["net"], left["params"]
        return net.top.apply(params, None, net.body.apply(params, None, IMAGES, False))
    if library == "Equinox":
        net = left["net"]
        return jax.vmap(lambda image: net.head(net.body(image, None)))(IMAGES)
    return module.Net(10).apply(left["variables"], IMAGES, False)


@pytest.mark.parametrize(
    "library",
    [
        "Plain JAX",
        "Flax linen",
        "Flax NNX",
        pytest.param("Haiku", marks=pytest.mark.long),
        pytest.param("Equinox", marks=pytest.mark.long),
        "State",
    ],
)
def test_the_snippets_of_the_guide_are_networks(library: str, folder: Path) -> None:
    module, left = write_snippets(library, folder)
    section = STATE if library == "State" else SECTION
    if library == "Plain JAX":
        section = Model("small", 28, 10, dropout=0.1, architecture="my_model.py:Cnn")
        shutil.copyfile(EXAMPLE.with_name("cnn_demo.npz"), folder / "mine.npz")  # init() has a head of zeros
        left["params"] = nest_parameters(npz.read(folder / "mine.npz"))
    network = open_network(section, folder)
    arrays = npz.load(folder / "mine.npz", network).arrays
    expected = np.asarray(expected_logits(library, module, left))
    assert np.allclose(network.logits(arrays, IMAGES), expected, rtol=1e-5, atol=1e-6)
    outputs = float64.compute_exact(network, arrays, IMAGES).outputs
    assert np.allclose(outputs[Head.CLASSIFICATION], expected, rtol=1e-4, atol=1e-5)
    assert outputs[Head.FE].shape == (3, 64 if library == "Plain JAX" else 16)
    assert bool(network.frozen) == (library == "State")
    facts = describe_model(section, network.architecture)
    assert (facts["family"], facts["title"]) == ("Convolutional Network", "Convolutional Network small")


def test_layers_in_a_list_of_nnx_have_numbers_in_their_names(folder: Path) -> None:
    layer = "nnx.Conv(3, 16, (3, 3), strides=2, rngs=rngs)"
    network, save = snippets("Flax NNX")
    assert layer in network
    (folder / "my_model.py").write_text(network.replace(layer, f"nnx.List([{layer}])").replace("conv(x)", "conv[0](x)"))
    left: dict[str, Any] = {}
    exec(save, left)
    net = open_network(SECTION, folder)
    arrays = npz.load(folder / "mine.npz", net).arrays
    assert arrays["body/conv/0/kernel"].shape == (3, 3, 3, 16)
    expected = expected_logits("Flax NNX", None, left)
    assert np.allclose(net.logits(arrays, IMAGES), expected, rtol=1e-5, atol=1e-6)


def test_dropout_is_applied_by_the_key(folder: Path) -> None:
    import jax

    write_snippets("Flax linen", folder)
    network = open_network(SECTION, folder)
    arrays = npz.load(folder / "mine.npz", network).arrays
    one, same, other = (np.asarray(network.features(arrays, IMAGES, jax.random.key(seed))) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)
    dropped = np.mean((one == 0) & (np.asarray(network.features(arrays, IMAGES)) != 0))
    assert 0 < dropped < 0.4


# What is refused ------------------------------------------------------------------------------------------------------
# A network of one matrix of 12 numbers an image; tests replace a line.
TINY = """\
import jax
import jax.numpy as jnp
import numpy as np


class MyNet:
    def __init__(self, image_size, classes, dropout):
        self.classes = classes

    def features(self, params, images, train, rngs):
        x = images.reshape(images.shape[0], -1)
        return x @ params["body"]["kernel"]

    def head(self, params, features):
        return features @ params["head"]["kernel"]
"""
FEATURES = 'x @ params["body"]["kernel"]'
ARRAYS = {"body/kernel": np.ones((12, 4), np.float32), "head/kernel": np.ones((4, 5), np.float32)}
MODEL = Model("tiny", 2, 5, architecture="net.py:MyNet")


def refusal(folder: Path, code: str, arrays: Mapping[str, np.ndarray] = ARRAYS, model: Model = MODEL) -> str:
    """Returns the message about a network, without the folder."""
    (folder / "net.py").write_text(code)
    np.savez(folder / "m.npz", allow_pickle=False, **dict(arrays))
    with pytest.raises(Fault) as caught:
        npz.load(folder / "m.npz", open_network(model, folder))
    return str(caught.value).removeprefix(f"{folder}/")


def test_the_tiny_network_is_sound(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TINY)
    np.savez(tmp_path / "m.npz", allow_pickle=False, **ARRAYS)
    network = open_network(MODEL, tmp_path)
    arrays = npz.load(tmp_path / "m.npz", network).arrays
    assert network.logits(arrays, np.ones((2, 2, 2, 3), np.float32)).tolist() == [[48.0] * 5] * 2
    assert not list(tmp_path.glob("__pycache__"))


def test_a_key_of_its_own_is_no_way_around(tmp_path: Path) -> None:
    drawn = f"{FEATURES} * jax.random.gamma(self.key, np.ones(4, np.float32))"
    code = TINY.replace(FEATURES, drawn).replace("self.classes = classes", "self.key = jax.random.key(0)")
    assert "the network draws random numbers with train=False (random_gamma)" in refusal(tmp_path, code)


def test_an_object_may_count_its_tokens(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TINY.replace("self.classes =", "self.tokens =", 1))
    assert not open_network(MODEL, tmp_path).has_tokens


def test_a_head_that_reads_what_features_kept_is_refused(tmp_path: Path) -> None:
    """It works while both are one call; the two modules are two."""
    keeping = TINY.replace(f"return {FEATURES}", f"self.kept = [{FEATURES}]\n        return self.kept[0]")
    reading = keeping.replace("return features @", "return (features + self.kept[0]) @")
    assert reading != keeping
    assert "head() reads a value that an earlier call kept, in an attribute or" in refusal(tmp_path, reading)
    tokens = "    def tokens(self, params, images):\n        return images[:, 0] * self.kept[0][0, 0]\n\n    def head"
    assert "tokens() reads a value that" in refusal(tmp_path, keeping.replace("    def head", tokens))
    cached = "    @functools.cache\n    def table(self):\n        return jnp.arange(4.0) * 2\n\n    def head"
    code = TINY.replace("import jax\n", "import functools\nimport jax\n", 1).replace("    def head", cached)
    assert "features() reads a value that an" in refusal(tmp_path, code.replace(FEATURES, f"{FEATURES} + self.table()"))
    (tmp_path / "net.py").write_text(keeping)
    npz.load(tmp_path / "m.npz", open_network(MODEL, tmp_path))


def test_a_constant_may_have_nan(tmp_path: Path) -> None:
    constant = "np.array([np.nan, 1, 2, 3], np.float32)"
    (tmp_path / "net.py").write_text(TINY.replace(FEATURES, f"jnp.where(jnp.isnan({constant}), 0, {FEATURES})"))
    np.savez(tmp_path / "m.npz", allow_pickle=False, **ARRAYS)
    npz.load(tmp_path / "m.npz", open_network(MODEL, tmp_path))


@dataclass(frozen=True)
class Refused:
    """A replaced text of TINY, and a part of the message."""

    old: str
    new: str
    message: str


ATTRIBUTE = "class MyNet:\n"
REFUSED = {
    "syntax": Refused("import jax\n", "import jax\nimport (\n", "net.py:2: the file fails: SyntaxError"),
    "import": Refused("import jax\n", "import jaxx\n", "net.py:1: the file fails: ModuleNotFoundError: No module"),
    "exit": Refused("import jax\n", "raise SystemExit(3)\n", "net.py:1: the file fails: SystemExit: 3"),
    "no class": Refused("class MyNet", "class MyNett", "has no class 'MyNet' (did you mean 'MyNett'?), which model."),
    "no head": Refused("def head", "def tail", "the class MyNet has no function head(params, features); add it"),
    "arguments": Refused("train, rngs", "train", "MyNet.features must take (params, images, train, rngs), got (self"),
    "constructor": Refused(
        "self.classes = classes", "1 / 0", "net.py:8: MyNet(image_size=2, classes=5, dropout=0.0) fails: ZeroDivision"
    ),
    "attribute": Refused(ATTRIBUTE, f'{ATTRIBUTE}    head_prefixes = "head/"\n', "MyNet.head_prefixes must be a tuple"),
    "words": Refused(ATTRIBUTE, f"{ATTRIBUTE}    title = 7\n", "MyNet.title must be a text of 1 to 100 printable"),
    "tolerance": Refused(ATTRIBUTE, f"{ATTRIBUTE}    tolerance = 1\n", "MyNet.tolerance must be a number above 0 and"),
    "features": Refused(FEATURES, f"({FEATURES})[0]", "features() returns (4,) for 2 images, expected (2, width)"),
    "logits": Refused(
        'features @ params["head"]["kernel"]',
        '(features @ params["head"]["kernel"])[:, :4]',
        "head() returns (2, 4) for 2 images, expected (2, 5), as model.classes says",
    ),
    "tuple": Refused(FEATURES, f"{FEATURES}, x", "features() returns tuple, expected one array"),
    "lacks": Refused('params["body"]', 'params["boddy"]', "net.py:12: features() fails: KeyError: 'boddy'"),
    "batch": Refused(
        "images.reshape(images.shape[0], -1)",
        "images.reshape(int(images.shape[0]), -1)",
        "net.py:11: features() cannot take a batch of any size n, which its modules must: InconclusiveDimension",
    ),
    "head in features": Refused(
        FEATURES,
        f'{FEATURES} + params["head"]["kernel"][:, 0]',
        "features() reads head/kernel, which MyNet.head_prefixes declare the head's",
    ),
    "body in head": Refused(
        'return features @ params["head"]["kernel"]',
        'return features @ params["head"]["kernel"] + params["body"]["kernel"][0, 0]',
        "net.py:15: head() fails with the arrays that head_prefixes declare the head's: KeyError: 'body'",
    ),
    "unused": Refused(FEATURES, "x[:, :4]", "the network uses 1 of the checkpoint's 2 arrays, and not body/kernel"),
    "print": Refused("return x @", 'jax.debug.print("x"); return x @', "net.py:12: the network does more than compute"),
    "callback": Refused(
        f"return {FEATURES}",
        f"return jax.pure_callback(lambda y: y, jax.ShapeDtypeStruct((images.shape[0], 4), x.dtype), {FEATURES})",
        "net.py:12: the network does more than compute (pure_callback)",
    ),
    "random": Refused(
        FEATURES,
        f"{FEATURES} * jax.random.bernoulli(jax.random.key(0), 0.5, (4,))",
        "net.py:12: the network draws random numbers with train=False",
    ),
    "another time": Refused(
        FEATURES, f"{FEATURES} * float(np.random.default_rng().random())", "computes something else each time"
    ),
    "float32": Refused(FEATURES, f"{FEATURES}.astype(jnp.float32)", "net.py:12: the network computes in float32 when"),
    "float32 within": Refused(
        FEATURES,
        "(x.astype(jnp.float32) @ params['body']['kernel'].astype(jnp.float32)).astype(x.dtype)",
        "net.py:12: the network computes in float32 when its weights and images are float64",
    ),
    "bfloat16": Refused(
        FEATURES, f"jax.jit(lambda y: y.astype(jnp.bfloat16))({FEATURES})", "net.py:12: the network computes in bfloat"
    ),
    "complex64": Refused(
        FEATURES,
        f"jnp.fft.fft(({FEATURES}).astype(jnp.complex64)).real.astype(x.dtype)",
        "net.py:12: the network computes in complex64 when its weights and images are float64",
    ),
    "tokens": Refused(
        "    def head",
        "    def tokens(self, params, images):\n        return images[:, 0, 0]\n\n    def head",
        "tokens() returns (2, 3) for 2 images, expected (2, tokens, width)",
    ),
}


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED.keys())
def test_a_network_that_is_not_what_it_says_is_refused(case: Refused, tmp_path: Path) -> None:
    assert case.old in TINY
    message = refusal(tmp_path, TINY.replace(case.old, case.new, 1))
    assert case.message in message
    assert "\n" not in message


def declare(attributes: str) -> str:
    return TINY.replace(ATTRIBUTE, f"{ATTRIBUTE}    {attributes}\n")


def test_prefixes_that_no_array_has_are_refused(tmp_path: Path) -> None:
    expected = "with which no array of the checkpoint begins: it has body/kernel, head/kernel"
    assert expected in refusal(tmp_path, declare('head_prefixes = ("top/",)'))
    assert expected in refusal(tmp_path, declare('state_prefixes = ("batch_stats/",)'))
    assert "are those of all arrays" in refusal(tmp_path, declare('head_prefixes = ("head/", "body/")'))


@pytest.mark.parametrize(
    "names", [("norm/mean", "norm/var"), ("norm/~/mean_ema/average", "norm/~/var_ema/average"), ("mean", "var")]
)
def test_statistics_of_a_batch_norm_must_be_declared(names: tuple[str, str], tmp_path: Path) -> None:
    arrays = ARRAYS | dict.fromkeys(names, np.ones(4, np.float32))
    expected = f"net.py: {names[0]} and {names[1]} look like the mean and variance of a BatchNorm, which gradients must"
    assert refusal(tmp_path, TINY, arrays).startswith(expected)
    declared = declare(f"state_prefixes = {names}")
    assert "uses 2 of the checkpoint's 4 arrays" in refusal(tmp_path, declared, arrays)  # no longer for their names


@pytest.mark.parametrize("function", ["softmax", "sigmoid"])
def test_a_head_that_returns_probabilities_is_refused(function: str, tmp_path: Path) -> None:
    head = 'features @ params["head"]["kernel"]'
    rng = np.random.default_rng(1)
    arrays = ARRAYS | {"head/kernel": rng.standard_normal((4, 5)).astype(np.float32)}
    message = refusal(tmp_path, TINY.replace(head, f"jax.nn.{function}({head})"), arrays)
    assert message.startswith("net.py: head() returns numbers from 0 to 1 for any features, as a softmax or a sigmoid")


def test_a_head_of_small_weights_is_not_taken_for_probabilities(tmp_path: Path) -> None:
    head = 'features @ params["head"]["kernel"]'
    (tmp_path / "net.py").write_text(TINY.replace(head, f"{head} + 0.5"))
    np.savez(tmp_path / "m.npz", allow_pickle=False, **(ARRAYS | {"head/kernel": np.full((4, 5), 1e-5, np.float32)}))
    npz.load(tmp_path / "m.npz", open_network(MODEL, tmp_path))


def test_extra_arrays_and_ambiguous_names_are_refused(tmp_path: Path) -> None:
    extra = ARRAYS | {"old/kernel": np.ones(3, np.float32)}
    assert "uses 2 of the checkpoint's 3 arrays, and not old/kernel" in refusal(tmp_path, TINY, extra)
    both = ARRAYS | {"body": np.ones(3, np.float32)}
    assert "an array 'body' and arrays below that name" in refusal(tmp_path, TINY, both)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        Fault, match=r"net\.py: cannot be read \(No such file or directory\); model\.architecture names"
    ):
        open_network(MODEL, tmp_path)


def test_dropout_without_its_key_or_beside_state_is_refused(tmp_path: Path) -> None:
    model = Model("tiny", 2, 5, dropout=0.5, architecture="net.py:MyNet")
    assert "features() does not use the key" in refusal(tmp_path, TINY, model=model)
    frozen = refusal(tmp_path, declare('state_prefixes = ("body/",)'), model=model)
    assert "model.dropout is 0.5, but a network with state (body/) cannot be trained" in frozen


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ("y[:, :2]", "features() returns (n, 2) with train=True, but (n, 4) with train=False"),
        ("[jax.debug.print('x'), y][1]", "features() does more than compute with train=True (debug_print)"),
    ],
)
def test_training_must_be_like_inference(kept: str, message: str, tmp_path: Path) -> None:
    code = TINY.replace(
        f"return {FEATURES}",
        f"y = {FEATURES}\n        if train:\n"
        "            y = y * jax.random.bernoulli(rngs['dropout'], 0.5, y.shape)\n"
        f"        return {kept} if train else y",
    )
    assert message in refusal(tmp_path, code, model=Model("tiny", 2, 5, dropout=0.5, architecture="net.py:MyNet"))


def test_options_reach_the_class_and_unknown_ones_are_refused(tmp_path: Path) -> None:
    model = Model("tiny", 2, 5, architecture="net.py:MyNet", options={"width": 4})
    expected = "net.py: MyNet(image_size=2, classes=5, dropout=0.0, width=4) fails: TypeError"
    assert expected in refusal(tmp_path, TINY, model=model)
    (tmp_path / "net.py").write_text(TINY.replace("dropout):", "dropout, width):"))
    open_network(model, tmp_path)
    repeated = Model("tiny", 2, 5, architecture="net.py:MyNet", options={"classes": 4})
    with pytest.raises(Fault, match=r"model\.options repeats 'classes', a key of the section model"):
        open_network(repeated, tmp_path)


@pytest.mark.parametrize(("activation", "has_probabilities"), [("softmax", False), ("sigmoid", True)])
def test_the_selftest_of_one_class_has_no_softmax(activation: str, has_probabilities: bool, tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(TINY)
    network = open_network(Model("tiny", 2, 1, architecture="net.py:MyNet"), tmp_path)
    arrays = ARRAYS | {"head/kernel": np.ones((4, 1), np.float32)}
    tests = convert._selftests(network, arrays, Classes(activation))
    assert ("probabilities" in tests[Head.CLASSIFICATION]) is has_probabilities


# What other stages read -----------------------------------------------------------------------------------------------
def test_the_file_is_announced_by_its_stage(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    announce("convert", MODEL, tmp_path)
    assert capsys.readouterr().err == f"convert: runs net.py, a Python file of {tmp_path}, with your rights\n"
    announce("convert", Model("Mini/4", 28, 10), tmp_path)
    assert capsys.readouterr().err == ""


def test_a_record_of_a_section_can_be_restored(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("")
    model = Model("tiny", 2, 5, labels="l.tsv", dropout=0.5, architecture="net.py:MyNet", options={"width": 4})
    record = record_section(model, tmp_path)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert record["architecture_sha256"] == empty
    assert not any(isinstance(value, (dict, list)) for value in record.values())
    restored: Callable[..., Model] = Model
    assert restored(**restore_section(record), labels="l.tsv") == model
