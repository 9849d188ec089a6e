"""Says in words how a checkpoint of the AugReg pool was trained, from its name."""

from pipeline.base.fault import Fault
from pipeline.pool import datasets, names
from pipeline.pool.names import FineTuning, Recipe

_AUGMENTATION = {"none": "no augmentation"}


def describe_recipe(checkpoint: str) -> str | None:
    """Returns how a checkpoint was trained, two sentences at most; None for a name that is not one of the pool's."""
    try:
        recipe = names.parse(checkpoint)
    except Fault:  # of a checkpoint of another origin, whose name may be anything
        return None
    return f"{_describe_training(recipe)} {_describe_tuning(recipe.fine_tuning)}".strip()


def _describe_training(recipe: Recipe) -> str:
    augmentation = _AUGMENTATION.get(recipe.aug, f"augmentation `{recipe.aug}`")
    return (
        f"The checkpoint's name says that it was pre-trained for {recipe.epochs} epochs on"
        f" {datasets.PRETRAINING[recipe.ds].name}, with {augmentation}, learning rate {recipe.lr:g}, weight decay"
        f" {recipe.wd:g}, {_rate('dropout', recipe.do)} and {_rate('stochastic depth', recipe.sd)}."
    )


def _rate(what: str, rate: float) -> str:
    return f"{what} {rate:g}" if rate else f"no {what}"


def _describe_tuning(tuning: FineTuning | None) -> str:
    if tuning is None:
        return ""
    thousands = int(tuning.steps.removesuffix("k"))
    steps = f"about {thousands:,},000 steps" if thousands else "fewer than 1,000 steps"
    return (
        f"It was then fine-tuned on {datasets.FINE_TUNING[tuning.ds].name} for {steps} at"
        f" {tuning.resolution}x{tuning.resolution} pixels, with learning rate {tuning.lr:g}."
    )
