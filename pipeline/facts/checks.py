"""The checks of one module in report.json: what was compared, by how much it differs, and the verdict.

`max_abs` is the largest absolute difference. `max_rel`, the relative error, is that divided by the largest expected
output, or by the size of the terms that the outputs are sums of if that is larger (pipeline.model.float64).
"""

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pipeline.base.strict_json import STRICT
from pipeline.base.verdict import Verdict


@dataclass(frozen=True)
class Needs:
    """What a module needs of its users: the oldest TensorFlow, platforms, versions of what is serialised."""

    tensorflow: str
    platforms: tuple[str, ...]
    calling_conventions: tuple[int, ...]
    stablehlo: tuple[str, ...]
    signatures: tuple[str, ...]


@dataclass(frozen=True)
class Comparison:
    """The outputs of two implementations on the same inputs.

    Attributes:
        images: how many inputs.
        max_abs, max_rel: the largest difference, see the module.
        cosine: the smallest cosine similarity of the inputs' outputs, -1 to 1; of two zero vectors 1, of one 0.
        tolerance: the largest max_rel that passes.
        verdict: of this check.
        argmax_agreement: the share of inputs with the same class, or with one whose expected logit is equal to the
            largest except for rounding; None for features.
    """

    images: int
    max_abs: float
    max_rel: float
    cosine: float
    tolerance: float
    verdict: Verdict
    argmax_agreement: float | None = None


@dataclass(frozen=True)
class WeightsCheck:
    """The module's variables beside the checkpoint's arrays.

    Attributes:
        arrays, parameters: how many the checkpoint has arrays, and the module parameters.
        different: the names of those that are not equal bit for bit.
        verdict: of this check.
        resized_from: the checkpoint's image size, if its position embedding was resized before it was compared.
    """

    arrays: int
    parameters: int
    different: tuple[str, ...]
    verdict: Verdict
    resized_from: int | None = None


def is_of_tokens(way: str) -> bool:
    """Whether a way to call a module, as self-tests name it, returns tokens: "tokens", "session_serving_tokens"."""
    # pipeline/saved_model/selftest.py, which lies alone in modules, has the same rule.
    return way.endswith("tokens")


@dataclass(frozen=True)
class SelfTestReplay:
    """The self-test inside the module.

    Attributes:
        max_rel: by the way to call it.
        tolerance: the largest max_rel that passes.
        verdict: of this check.
        tokens_tolerance: the largest of tokens; None where it is no other.
    """

    max_rel: dict[str, float]
    tolerance: float
    verdict: Verdict
    tokens_tolerance: float | None = None

    def limit(self, way: str) -> float:
        """Returns the largest max_rel of a way that passes."""
        return self.tolerance if self.tokens_tolerance is None or not is_of_tokens(way) else self.tokens_tolerance

    @property
    def worst(self) -> tuple[str, float]:
        """The way with the largest max_rel, and that; of those beyond their limit if there are some, NaN before all."""
        return max(self.max_rel.items(), key=lambda pair: (math.isnan(pair[1]), pair[1] > self.limit(pair[0]), pair[1]))


@dataclass(frozen=True)
class LoaderCheck(SelfTestReplay):
    """The self-test inside the module in another loader of TensorFlow: by signature, if the module was loaded.

    Attributes:
        verdict: not measured where the loader is missing.
        reason: why the module was not loaded, or "".
    """

    reason: str = ""

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


@dataclass(frozen=True)
class ClassesCheck:
    """What `serving_classify` says beside its logits.

    Attributes:
        images: how many.
        max_abs: the largest difference of a probability from that of the logits, by the collection's activation.
        tolerance: the largest max_abs that passes.
        are_named: whether the classes of the largest logits are named, in descending order, by the label file.
        verdict: of this check.
        example: the classes that it named for the first image, the likeliest first.
    """

    images: int
    max_abs: float
    tolerance: float
    are_named: bool
    verdict: Verdict
    example: tuple[str, ...]


@dataclass(frozen=True)
class BatchSizes:
    """Outputs in small batches beside those in one batch of `of` images: max_rel by the batch size."""

    of: int
    max_rel: dict[str, float]
    tolerance: float
    verdict: Verdict


@dataclass(frozen=True)
class BlockTrace:
    """Where a difference from the JAX model begins: max_rel after each block, in order; no verdict.

    `reason` says why the blocks were not compared, or could not be; `images` is None then.
    """

    images: int | None = None
    max_rel: tuple[tuple[str, float], ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class GradientCheck:
    """The module's gradients beside JAX's, relative to each gradient's norm.

    `max_rel` and `worst`, the variable with it, are None where the variables do not match.

    `optimization_level` is that at which XLA compiled the module's programs for this check; None for the default.
    """

    variables: int
    expected: int
    max_rel: float | None
    worst: str | None
    tolerance: float
    verdict: Verdict
    optimization_level: int | None = None


@dataclass(frozen=True)
class FineTuningCheck:
    """One step of gradient descent with `training=True`: variables, those without a gradient, the loss.

    `optimization_level` is as in GradientCheck.
    """

    variables: int
    without_gradient: tuple[str, ...]
    loss_before: float
    loss_after: float
    verdict: Verdict
    optimization_level: int | None = None


@dataclass(frozen=True)
class TrainingChecks:
    """The checks that differentiate a module; pipeline.proof.gradients prints them as JSON.

    `seconds` is how long each took.
    """

    gradients: GradientCheck
    fine_tuning: FineTuningCheck
    seconds: dict[str, float] = field(default_factory=dict)

    __pydantic_config__: ClassVar[dict[str, Any]] = STRICT


@dataclass(frozen=True)
class ModuleReport:
    """The checks of one module.

    Attributes:
        content_sha256: the digest of its files (pipeline.saved_model.files).
        bytes: its size unpacked.
        output_width: how many logits or features it returns per image.
        needs: what it needs of its users.
        weights, selftest, preprocessing, parity, batch_sizes: the checks of the same names on the ladder.
        blocks: explains a failed parity.
        session, c_api: the checks of the same names; None in reports of releases that had none.
        encoded: the check of the same name; None for modules without `serving_jpeg`, which earlier releases made.
        tokens: likewise; None for classifiers, and for networks without tokens.
        classes: likewise; None for feature extractors.
        token_shape: the number of tokens and their width; None where there are none.
        gradients, fine_tuning: None where an earlier check failed.
    """

    content_sha256: str
    bytes: int
    output_width: int
    needs: Needs
    weights: WeightsCheck
    selftest: SelfTestReplay
    preprocessing: Comparison
    parity: Comparison
    batch_sizes: BatchSizes
    blocks: BlockTrace
    session: LoaderCheck | None = None
    c_api: LoaderCheck | None = None
    encoded: Comparison | None = None
    tokens: Comparison | None = None
    classes: ClassesCheck | None = None
    token_shape: tuple[int, int] | None = None
    gradients: GradientCheck | None = None
    fine_tuning: FineTuningCheck | None = None
