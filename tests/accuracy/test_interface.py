"""Choosing how to call a module: from what its files tell, and from settings, which must not contradict them."""

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from pipeline.accuracy.interface import Interface, choose_interface, choose_meta_graph
from pipeline.accuracy.module_settings import AGAINST, read_settings
from pipeline.accuracy.outputs import check_classes
from pipeline.base.fault import Fault
from pipeline.saved_model.graph import saved_model_class
from tests.saved_model.graphs import IMAGES, LOGITS, Tensors, add_meta_graph

Signatures = Mapping[str, tuple[Tensors, Tensors]]


def message(signatures: Signatures, *tags: str) -> Any:
    model = saved_model_class()(saved_model_schema_version=1)
    add_meta_graph(model, signatures, tags or ("serve",))
    return model


def choose(model: Any, prefix: str = "", *, is_own: bool = False, **settings: str) -> Interface:
    given = read_settings(settings, prefix)
    return choose_interface("m", choose_meta_graph("m", model, given), given, 1000, is_own)


def refusal(model: Any, prefix: str = "", *, is_own: bool = False, **settings: str) -> str:
    with pytest.raises(Fault) as raised:
        choose(model, prefix, is_own=is_own, **settings)
    assert str(raised.value).startswith("m: ")
    return str(raised.value).removeprefix("m: ")


def taking(dtype: str, *shape: int | None) -> Any:
    return message({"serving_default": ({"x": (dtype, shape)}, LOGITS)})


def returning(**outputs: tuple[str, tuple[int | None, ...]]) -> Any:
    return message({"serving_default": (IMAGES, outputs)})


N = None


# Inputs ---------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("model", "settings", "expected"),
    [
        (taking("float32", N, 224, 224, 3), {"range": "0,1"}, ("NHWC", 224, N, "0,1")),
        (taking("float32", N, 224, 224, N), {"range": "0,255"}, ("NHWC", 224, N, "0,255")),
        (taking("float32", 8, 224, N, 3), {"range": "-1,1"}, ("NHWC", 224, 8, "-1,1")),
        (taking("float16", N, N, N, N), {"range": "-1,1", "size": "96"}, ("NHWC", 96, N, "-1,1")),
        (taking("float32", N, N, N, N), {"range": "0,1", "size": "9", "layout": "NCHW"}, ("NCHW", 9, N, "0,1")),
        (taking("float32", 1, 3, 224, 224), {"range": "imagenet"}, ("NCHW", 224, 1, "imagenet")),
        (taking("float32", N, 3, N, N), {"range": "0,1", "size": "224"}, ("NCHW", 224, N, "0,1")),
        (taking("uint8", N, 224, 224, 3), {}, ("NHWC", 224, N, "0,255")),
        (taking("uint8", 224, 224, 3), {"range": "0,255", "size": "224", "layout": "NHWC"}, ("NHWC", 224, 0, "0,255")),
        (taking("int32", N, N, N, 3), {"size": "32"}, ("NHWC", 32, N, "0,255")),
        (taking("string", N), {}, ("", N, N, N)),
        (taking("string"), {}, ("", N, 0, N)),
        (taking("string", 4), {}, ("", N, 4, N)),
    ],
)
def test_inputs(model: Any, settings: dict[str, str], expected: tuple[Any, ...]) -> None:
    found = choose(model, is_own=False, **settings)
    pixels = found.pixels.name if found.pixels else None
    assert (found.input.layout, found.input.size, found.input.batch, pixels) == expected
    assert (found.input.name, found.output, found.signature, found.tags) == (
        "x",
        "logits",
        "serving_default",
        ("serve",),
    )


@pytest.mark.parametrize(
    ("shape", "is_open"), [((N, 8, 8, 3), False), ((N, 3, 8, 8), False), ((N, N, N, 3), True), ((N, N, N, N), True)]
)
def test_whether_the_shape_leaves_the_layout_open(shape: tuple[int | None, ...], is_open: bool) -> None:
    found = choose(taking("float32", *shape), range="0,1", size="8")
    assert found.input.has_open_layout is is_open
    assert not choose(taking("string", N)).input.has_open_layout


FLOATS = taking("float32", N, 224, 224, 3)


@pytest.mark.parametrize(
    ("model", "settings", "message"),
    [
        (FLOATS, {}, "it does not state the range of its pixels; pass RANGE=-1,1, RANGE=0,1, RANGE=0,255, or RANGE=im"),
        (taking("float32", N, N, N, 3), {"range": "0,1"}, "it takes images of any size; pass SIZE=<pixels>, the size"),
        (FLOATS, {"range": "0,1", "size": "299"}, "it takes images of 224 pixels, got SIZE=299; leave out SIZE"),
        (FLOATS, {"range": "0,1", "layout": "NCHW"}, "its signature serving_default takes float32 (?, 224, 224, 3), w"),
        (taking("uint8", N, 9, 9, 3), {"range": "0,1"}, "it takes uint8, so that its pixels are from 0,255, got RANGE"),
        (taking("string", N), {"size": "9", "range": "0,1"}, "it takes image files and prepares the images itself; le"),
        (taking("string", N), {"protocol": "crop"}, "it takes image files and prepares the images itself; leave out P"),
        (taking("float32", N, 9, 12, 3), {"range": "0,1"}, "its signature serving_default takes float32 (?, 9, 12, 3)"),
        (taking("float32", N, 28, 28, 1), {}, "its signature serving_default takes float32 (?, 28, 28, 1), expected i"),
        (taking("float32", N, 768), {}, "its signature serving_default takes float32 (?, 768), expected images: (n, s"),
        (taking("int64", N), {}, "its signature serving_default takes int64 (?,), expected images: (n, side, side, 3)"),
        (taking("bool", N, 9, 9, 3), {}, "its signature serving_default takes bool (?, 9, 9, 3), expected numbers of"),
        (taking("string", N, 2), {}, "its signature serving_default takes string (?, 2), expected one string for each"),
        (message({}), {}, "it has no signatures and cannot be called; pass signatures= to tf.saved_model.save"),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(model: Any, settings: dict[str, str], message: str) -> None:
    assert refusal(model, is_own=False, **settings).startswith(message)


def test_modules_of_this_project_state_their_range() -> None:
    assert choose(FLOATS, is_own=True).pixels == choose(FLOATS, range="-1,1").pixels
    assert choose(taking("uint8", N, 9, 9, 3), is_own=True).pixels == choose(FLOATS, range="0,255").pixels
    said = refusal(FLOATS, is_own=True, range="0,1")
    assert said == "it is of this project, so that its pixels are from -1,1, got RANGE=0,1; leave out RANGE"


# Signatures -----------------------------------------------------------------------------------------------------------
TEXT: tuple[Tensors, Tensors] = ({"text": ("int64", (N, 77))}, {"embedding": ("float32", (N, 512))})
PICTURE: tuple[Tensors, Tensors] = ({"image": ("uint8", (N, 9, 9, 3))}, LOGITS)
FEATURES: tuple[Tensors, Tensors] = (PICTURE[0], {"features": ("float32", (N, 2048))})
TWO: tuple[Tensors, Tensors] = ({"a": ("uint8", (N, 9, 9, 3)), "training": ("bool", ())}, LOGITS)


@pytest.mark.parametrize(
    ("signatures", "settings", "expected"),
    [
        ({"default": PICTURE, "other": PICTURE}, {}, "default"),
        ({"default": PICTURE, "serving_default": PICTURE}, {}, "serving_default"),
        ({"serving_default": TEXT, "image": PICTURE}, {}, "image"),
        ({"serving_default": TWO, "default": PICTURE, "image": PICTURE}, {}, "default"),
        ({"a": PICTURE, "b": PICTURE}, {"signature": "b"}, "b"),
        ({"serving_default": FEATURES, "features": FEATURES, "classify": PICTURE}, {}, "classify"),
        ({"default": FEATURES, "a": PICTURE}, {"signature": "a"}, "a"),
    ],
)
def test_signatures(signatures: Signatures, settings: dict[str, str], expected: str) -> None:
    assert choose(message(signatures), is_own=False, **settings).signature == expected


def test_signatures_are_listed_where_none_can_be_chosen() -> None:
    listing = (
        "\n  a: image uint8 (?, 9, 9, 3) -> logits float32 (?, 1000)"
        "\n  b: image uint8 (?, 9, 9, 3) -> logits float32 (?, 1000)"
        "\n  text: text int64 (?, 77) -> embedding float32 (?, 512)"
    )
    model = message({"a": PICTURE, "b": PICTURE, "text": TEXT})
    assert refusal(model) == f"several signatures take images; pass SIGNATURE= one of a, b{listing}"
    assert refusal(model, signature="c") == f"it has no signature 'c'{listing}"
    said = "SIGNATURE=text: takes int64 (?, 77), expected images: (n, side, side, 3) or (n, 3, side, side)"
    assert refusal(model, signature="text") == f"{said}{listing}"
    said = "its signature serving_default takes 2 inputs, expected one, of images"
    assert refusal(message({"serving_default": TWO})).startswith(
        f"{said}\n  serving_default: a uint8 (?, 9, 9, 3), train"
    )


def test_a_call_that_leads_nowhere_is_none() -> None:
    """As in a damaged graph."""
    model = message({"a": PICTURE})
    model.meta_graphs[0].object_graph_def.nodes.add().children.add(node_id=7, local_name="__call__")
    assert choose(model).signature == "a"


def add_call(model: Any, *outputs: tuple[str, int], shapes: Sequence[Sequence[int]] = ((-1, 9, 9, 3),)) -> Any:
    """Adds an object that can be called, as Keras saves it: with an option `training`, for each shape of images."""
    objects = model.meta_graphs[0].object_graph_def
    objects.nodes.add().children.add(node_id=1, local_name="__call__")
    function = objects.nodes.add().function
    for number, shape in enumerate(shapes):
        function.concrete_functions.append(f"f{number}")
        call = objects.concrete_functions[f"f{number}"]
        arguments, _ = (call.canonicalized_input_signature.tuple_value.values.add() for _ in range(2))
        spec = arguments.tuple_value.values.add().tensor_spec_value
        arguments.tuple_value.values.add().bool_value = False
        spec.dtype, spec.name = 4, "pixels"
        for size in shape:
            spec.shape.dim.add().size = size
        for name, size in outputs:
            output = call.output_signature.dict_value.fields[name].tensor_spec_value
            output.dtype = 1
            for dim in (-1, size):
                output.shape.dim.add().size = dim
    return model


def test_the_model_itself_is_called_where_no_signature_fits() -> None:
    model = add_call(message({"serving_default": TEXT}), ("probs", 1000), ("features", 64))
    found = choose(model)
    assert (found.signature, found.output, found.input.size) == ("__call__", "probs", 9)
    assert found.input.name == "pixels"
    both = add_call(message({"serving_default": PICTURE}), ("probs", 1000))
    assert choose(both).signature == "serving_default"
    assert choose(add_call(message({"features": FEATURES}), ("probs", 1000))).signature == "__call__"
    assert choose(both, signature="__call__").output == "probs"


def test_of_several_forms_of_a_call_the_most_open_counts() -> None:
    """TensorFlow keeps a form for each shape that it was called with."""
    shapes = ((1, 9, 9, 3), (-1, -1, -1, 3), (8, 9, 9, 3))
    found = choose(add_call(message({}), ("probs", 1000), shapes=shapes), size="7")
    assert (found.input.size, found.input.batch) == (7, None)


# Outputs --------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("outputs", "settings", "expected"),
    [
        ({"anything": ("float32", (N, N))}, {}, "anything"),
        ({"features": ("float32", (N, 1280)), "out": ("float32", (N, 1000))}, {}, "out"),
        ({"features": ("float32", (N, 7, 7, 1000)), "out": ("float32", (N, 1, 1, 1000))}, {}, "out"),
        ({"classes": ("int64", (N, 1000)), "scores": ("float32", (N, 1000))}, {}, "scores"),
        ({"probabilities": ("float32", (N, 1000)), "logits": ("float32", (N, 1000))}, {}, "logits"),
        ({"a": ("float32", (N, 1000)), "b": ("float32", (N, 1000))}, {"output": "b"}, "b"),
        ({"a": ("float32", (N, 1001)), "b": ("float32", (N, 12))}, {"background": "1"}, "a"),
        ({"a": ("float32", (N, 1001)), "b": ("float32", (N, 1000))}, {"background": "1"}, "a"),
        ({"a": ("float32", (N, N)), "b": ("float32", (N, 12))}, {}, "a"),
    ],
)
def test_outputs(outputs: Any, settings: dict[str, str], expected: str) -> None:
    assert choose(returning(**outputs), is_own=False, range="0,1", **settings).output == expected


@pytest.mark.parametrize(
    ("outputs", "settings", "message"),
    [
        (
            {"a": ("float32", (N, 1000)), "b": ("float32", (N, 1000))}, {},
            "it has several outputs; pass OUTPUT= the one of 1,000 classes\n  a: float32 (?, 1000)\n  b: float32 (?, 1",
        ),
        ({"a": ("float32", (N, 1000))}, {"output": "b"}, "it has no output 'b'; pass OUTPUT= one of\n  a: float32 (?,"),
        ({"a": ("float32", (N, 1000))}, {"background": "1"}, "it returns 1,000 outputs for each image, expected 1,001"),
        (
            {"a": ("float32", (N, 1001))}, {},
            "it returns 1,001 outputs for each image, expected 1,000 for 1,000 labels; pass BACKGROUND=1 if the first",
        ),
        ({"a": ("float32", (N, 1001))}, {"background": "0"}, "it returns 1,001 outputs for each image, expected 1,000"),
        (
            {"a": ("float32", (N, 21843))}, {},
            "it returns 21,843 outputs for each image, expected 1,000 for 1,000 labels; these are the classes of Image",
        ),
        ({"a": ("float32", (N, 1280))}, {}, "it returns 1,280 outputs for each image, expected 1,000 for 1,000 labels"),
        ({"a": ("int64", (N,))}, {}, "its output is int64 (?,), expected float32 (n, classes); pass OUTPUT= another"),
    ],
)  # fmt: skip
def test_outputs_that_do_not_fit(outputs: Any, settings: dict[str, str], message: str) -> None:
    assert refusal(returning(**outputs), is_own=False, range="0,1", **settings).startswith(message)


def test_the_number_of_outputs_may_be_known_only_when_it_runs() -> None:
    known = {"range": "0,1", "background": "1"}
    unknown = choose(returning(a=("float32", (N, N))), is_own=False, **known)
    assert check_classes("m", 1001, 1000, unknown.background) is True
    with pytest.raises(Fault, match="leave out BACKGROUND"):
        check_classes("m", 1000, 1000, unknown.background)
    # What was given for the first module counts for the second where it fits.
    second = choose(returning(a=("float32", (N, N))), AGAINST, is_own=False, **known)
    assert check_classes("m", 1000, 1000, second.background) is False
    assert check_classes("m", 1001, 1000, second.background) is True


# Meta graphs ----------------------------------------------------------------------------------------------------------
def test_meta_graphs() -> None:
    model = message({"serving_default": PICTURE}, "serve", "tpu")
    assert choose(model).tags == ("serve", "tpu")
    add_meta_graph(model, {"serving_default": PICTURE}, ["train"])
    said = "it holds 2 meta graphs; pass TAGS= one of: serve,tpu; train"
    assert refusal(model) == said
    assert choose(model, tags="tpu,serve").tags == ("serve", "tpu")
    said = "no meta graph with the tags serve; pass TAGS= one of: serve,tpu; train"
    assert refusal(model, tags="serve") == said
    add_meta_graph(model, {"serving_default": PICTURE}, [])  # as modules of TensorFlow 1 have it
    assert choose(model).tags == ()
    add_meta_graph(model, {"serving_default": PICTURE}, ["serve"])
    add_meta_graph(model, {}, ["serve"])  # hidden by the one before
    assert choose(model).tags == ("serve",)


def test_names_of_strangers_do_not_reach_the_terminal_as_they_are() -> None:
    strange = message({"a\x1b[2J": PICTURE, "b": PICTURE})
    assert refusal(strange) == (
        "several signatures take images; pass SIGNATURE= one of a\\x1b[2J, b"
        "\n  a\\x1b[2J: image uint8 (?, 9, 9, 3) -> logits float32 (?, 1000)"
        "\n  b: image uint8 (?, 9, 9, 3) -> logits float32 (?, 1000)"
    )


# Settings -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": "0"}, "SIZE=0: expected a number of pixels from 1"),
        ({"size": "224x224"}, "SIZE=224x224: expected a number of pixels from 1"),
        ({"layout": "nchw"}, r"LAYOUT=nchw: expected NHWC or NCHW \(did you mean 'NCHW'\?\)"),
        ({"protocol": "cropp"}, r"PROTOCOL=cropp: expected resize or crop \(did you mean 'crop'\?\)"),
        ({"activation": "none"}, "ACTIVATION=none: expected softmax or sigmoid"),
        ({"background": "yes"}, "BACKGROUND=yes: expected 0 or 1"),
        ({"range": "0-255"}, "RANGE=0-255: expected the least and the greatest value of a pixel"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, str], message: str) -> None:
    with pytest.raises(Fault, match=f"^{message}"):
        read_settings(settings)
    with pytest.raises(Fault, match=f"^AGAINST_{message}"):
        read_settings({f"against_{name}": value for name, value in settings.items()}, AGAINST)


def test_what_is_given_for_the_first_module_counts_for_the_second_where_it_fits() -> None:
    first = {"size": "9", "signature": "a", "output": "b", "tags": "c", "layout": "NCHW", "range": "0,1"}
    found = choose(taking("uint8", N, 224, 224, 3), AGAINST, is_own=False, **first)
    assert (found.input.size, found.signature, found.input.layout) == (224, "serving_default", "NHWC")
    assert found.pixels == choose(FLOATS, range="0,255").pixels
    assert choose(taking("float32", N, 3, N, N), AGAINST, is_own=False, **first).input.size == 9
    assert choose(taking("float32", N, 3, N, N), AGAINST, is_own=False, **first, against_size="7").input.size == 7
    said = refusal(taking("uint8", N, 224, 224, 3), AGAINST, is_own=False, **first, against_range="0,1")
    assert said == "it takes uint8, so that its pixels are from 0,255, got AGAINST_RANGE=0,1; leave out AGAINST_RANGE"
