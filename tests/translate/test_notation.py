"""Operations of StableHLO that JAX of today does not write, or writes in other words."""

import re

import numpy as np
import pytest

from pipeline.translate.patterns import recover
from pipeline.translate.reading import read
from pipeline.translate.refusal import Untranslatable
from tests.translate.modules import assemble

pytestmark = pytest.mark.slow

X = np.array([[1.5, -2.0, 0.5], [3.0, 0.25, -1.0]], np.float32)
T = "tensor<2x3xf32>"


def run(text: str, *arguments: np.ndarray) -> list[np.ndarray]:
    """Translates a function and runs it in TensorFlow."""
    import tensorflow as tf

    from pipeline.translate.tensorflow_functions import to_function

    function = to_function(recover(read(assemble(text))))
    return [each.numpy() for each in function(*map(tf.constant, arguments))]


def test_error_functions_and_largest_values_that_are_custom_calls() -> None:
    erf, values, places = run(
        f"""(%x: {T}) -> ({T}, tensor<2x2xf32>, tensor<2x2xi32>) {{
        %0 = stablehlo.custom_call @mhlo.erf(%x) {{mhlo.attributes = {{}}}} : ({T}) -> {T}
        %1:2 = stablehlo.custom_call @mhlo.topk(%x) {{mhlo.attributes = {{k = 2 : i64, largest = true}}}}
            : ({T}) -> (tensor<2x2xf32>, tensor<2x2xi32>)
        return %0, %1#0, %1#1 : {T}, tensor<2x2xf32>, tensor<2x2xi32> }}""",
        X,
    )
    np.testing.assert_allclose(erf[0, 0], 0.9661051, 1e-6)
    assert places.tolist() == [[0, 2], [0, 1]]
    assert values.tolist() == [[1.5, 0.5], [3.0, 0.25]]


def test_annotations_are_handed_on() -> None:
    (result,) = run(
        f"""(%x: {T}) -> {T} {{
        %0 = stablehlo.custom_call @Sharding(%x) {{mhlo.sharding = "{{replicated}}"}} : ({T}) -> {T}
        %1 = stablehlo.optimization_barrier %0 : {T}
        return %1 : {T} }}""",
        X,
    )
    assert result.tolist() == X.tolist()


def test_a_branch_is_taken_where_the_condition_is_true() -> None:
    text = f"""(%p: tensor<i1>, %x: {T}) -> {T} {{
        %0 = "stablehlo.if"(%p) ({{
            %1 = stablehlo.negate %x : {T}
            stablehlo.return %1 : {T}
        }}, {{ stablehlo.return %x : {T} }}) : (tensor<i1>) -> {T}
        return %0 : {T} }}"""
    assert run(text, np.array(True), X)[0].tolist() == (-X).tolist()
    assert run(text, np.array(False), X)[0].tolist() == X.tolist()


def test_two_reductions_in_one() -> None:
    total, largest = run(
        f"""(%x: {T}) -> (tensor<2xf32>, tensor<2xf32>) {{
        %a = stablehlo.constant dense<10.0> : tensor<f32>
        %b = stablehlo.constant dense<2.0> : tensor<f32>
        %0:2 = "stablehlo.reduce"(%x, %x, %a, %b) ({{
          ^bb0(%p: tensor<f32>, %q: tensor<f32>, %r: tensor<f32>, %s: tensor<f32>):
            %1 = stablehlo.add %r, %p : tensor<f32>
            %2 = stablehlo.maximum %q, %s : tensor<f32>
            stablehlo.return %1, %2 : tensor<f32>, tensor<f32>
        }}) {{dimensions = array<i64: 1>}} : ({T}, {T}, tensor<f32>, tensor<f32>) -> (tensor<2xf32>, tensor<2xf32>)
        return %0#0, %0#1 : tensor<2xf32>, tensor<2xf32> }}""",
        X,
    )
    assert total.tolist() == [10.0, 12.25]
    assert largest.tolist() == [2.0, 3.0]


def test_precision_is_reduced_by_a_cast_there_and_back() -> None:
    (result,) = run(
        f"""(%x: {T}) -> {T} {{
        %0 = stablehlo.reduce_precision %x, format = e8m7 : {T}
        return %0 : {T} }}""",
        X / 3,
    )
    assert np.unique(result.view(np.uint32) & 0xFFFF).tolist() == [0]
    np.testing.assert_allclose(result, X / 3, 1 / 256)


def test_a_reversed_window_is_a_convolution() -> None:
    x, kernel = np.arange(5, dtype=np.float32).reshape(1, 5, 1), np.array([1, 10, 100], np.float32).reshape(3, 1, 1)
    (result,) = run(
        """(%x: tensor<1x5x1xf32>, %k: tensor<3x1x1xf32>) -> tensor<1x3x1xf32> {
        %0 = "stablehlo.convolution"(%x, %k) {batch_group_count = 1 : i64, feature_group_count = 1 : i64,
            dimension_numbers = #stablehlo.conv<[b, 0, f]x[0, i, o]->[b, 0, f]>, window_reversal = array<i1: true>}
            : (tensor<1x5x1xf32>, tensor<3x1x1xf32>) -> tensor<1x3x1xf32>
        return %0 : tensor<1x3x1xf32> }""",
        x,
        kernel,
    )
    assert result.reshape(-1).tolist() == np.convolve([0, 1, 2, 3, 4], [1, 10, 100], "valid").tolist()


def test_pads_that_are_computed_crop_and_pad() -> None:
    text = """(%x: tensor<4xf32>, %low: tensor<1xi32>) -> tensor<?xf32> {
        %v = stablehlo.constant dense<9.0> : tensor<f32>
        %one = stablehlo.constant dense<1> : tensor<1xi32>
        %0 = stablehlo.dynamic_pad %x, %v, %low, %one, %one : (tensor<4xf32>, tensor<f32>, tensor<1xi32>, tensor<1xi32>,
            tensor<1xi32>) -> tensor<?xf32>
        return %0 : tensor<?xf32> }"""
    x = np.arange(4, dtype=np.float32)
    for low, expected in ((2, [9, 9, 0, 9, 1, 9, 2, 9, 3, 9]), (0, [0, 9, 1, 9, 2, 9, 3, 9]), (-3, [9, 2, 9, 3, 9])):
        assert run(text, x, np.array([low], np.int32))[0].tolist() == expected


REFUSED = {
    "custom_call cannot .*'evil'": f"%0 = stablehlo.custom_call @evil(%x) : ({T}) -> {T}",
    "custom_call cannot .*'mhlo.topk'": f"""%1:2 = stablehlo.custom_call @mhlo.topk(%x)
        {{mhlo.attributes = {{k = 3 : i64, largest = false}}}} : ({T}) -> ({T}, tensor<2x3xi32>)
        %0 = stablehlo.negate %1#0 : {T}""",
    "stablehlo.cholesky cannot": f"""%1 = stablehlo.slice %x [0:2, 0:2] : ({T}) -> tensor<2x2xf32>
        %2 = stablehlo.cholesky %1, lower = true : tensor<2x2xf32>
        %0 = stablehlo.pad %2, %c, low = [0, 0], high = [0, 1], interior = [0, 0]
            : (tensor<2x2xf32>, tensor<f32>) -> {T}""",
    "stablehlo.compare cannot .* total order": f"""%1 = stablehlo.compare LT, %x, %x, TOTALORDER
            : ({T}, {T}) -> tensor<2x3xi1>
        %0 = stablehlo.convert %1 : (tensor<2x3xi1>) -> {T}""",
    "stablehlo.reduce cannot .* does not only add": f"""%1 = stablehlo.reduce(%x init: %c) across dimensions = [0, 1]
        : ({T}, tensor<f32>) -> tensor<f32> reducer(%p: tensor<f32>, %q: tensor<f32>) {{
            %2 = stablehlo.subtract %p, %q : tensor<f32>
            stablehlo.return %2 : tensor<f32>
        }}
        %0 = stablehlo.broadcast_in_dim %1, dims = [] : (tensor<f32>) -> {T}""",
    "stablehlo.all_reduce cannot": f"""%0 = "stablehlo.all_reduce"(%x) ({{
          ^bb0(%p: tensor<f32>, %q: tensor<f32>):
            %2 = stablehlo.add %p, %q : tensor<f32>
            stablehlo.return %2 : tensor<f32>
        }}) {{replica_groups = dense<0> : tensor<1x1xi64>}} : ({T}) -> {T}""",
    "stablehlo.sort cannot": f"""%0 = "stablehlo.sort"(%x) <{{dimension = 1 : i64, is_stable = true}}> ({{
          ^bb0(%p: tensor<f32>, %q: tensor<f32>):
            %1 = stablehlo.abs %p : tensor<f32>
            %2 = stablehlo.compare LT, %1, %q : (tensor<f32>, tensor<f32>) -> tensor<i1>
            stablehlo.return %2 : tensor<i1>
        }}) : ({T}) -> {T}""",
    "stablehlo.convert cannot .*f8E4M3FN": f"""%1 = stablehlo.convert %x : ({T}) -> tensor<2x3xf8E4M3FN>
        %0 = stablehlo.convert %1 : (tensor<2x3xf8E4M3FN>) -> {T}""",
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_has_no_translation_is_refused_by_name(message: str) -> None:
    module = assemble(
        f"(%x: {T}) -> {T} {{\n%c = stablehlo.constant dense<0.0> : tensor<f32>\n{REFUSED[message]}\nreturn %0 : {T} }}"
    )
    with pytest.raises(Untranslatable) as refusal:
        read(module)
    assert re.search(message, str(refusal.value))
