"""Runs one contender of benchmarks/forward.py in a process of its own, which answers requests on stdin.

    python -m benchmarks.contenders CONTENDER VARIANT SOURCE THREADS
    python -m benchmarks.contenders export VARIANT CHECKPOINT OUT.onnx

Each has its own process, since frameworks in one process compete for threads. The process imports the framework, loads
SOURCE (a SavedModel, a checkpoint or an ONNX file) and prints the seconds of both as a line of JSON. Then it answers
each line of JSON on stdin with a line on stdout:

- {"batch": n, "calls": k}: runs k calls with n images, answers with their seconds;
- {"batch": n, "save": path}: writes the outputs for n images as a .npy file.

A call takes a NumPy array and returns one. The interpreter needs NumPy and the contender's framework.
"""

import contextlib
import functools
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np

Forward = Callable[[np.ndarray], np.ndarray]  # float32 (n, ...) in the contender's layout to (n, 1000)

TIMM = {
    "Ti/16": "vit_tiny_patch16_224",
    "S/16": "vit_small_patch16_224",
    "S/32": "vit_small_patch32_224",
    "B/16": "vit_base_patch16_224",
    "B/32": "vit_base_patch32_224",
    "B/8": "vit_base_patch8_224",
    "L/16": "vit_large_patch16_224",
    "L/32": "vit_large_patch32_224",
    "R+Ti/16": "vit_tiny_r_s16_p8_224",
    "R26+S/32": "vit_small_r26_s32_224",
    "R50+L/32": "vit_large_r50_s32_224",
}
CHANNELS_FIRST = ("timm", "timm, compiled", "onnxruntime", "OpenVINO")


def import_tensorflow(threads: int) -> None:
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.constant(0)  # initialises the devices


def saved_model(variant: str, source: str, threads: int) -> Forward:
    """Loads a SavedModel, to call it as users do."""
    import tensorflow as tf

    model = tf.saved_model.load(source)
    return lambda images: np.asarray(model(tf.constant(images)))


def import_jax(threads: int) -> None:
    import benchmarks.upstream  # noqa: F401


def upstream(variant: str, source: str, threads: int) -> Forward:
    """Loads upstream's Flax model, under jax.jit."""
    import jax

    from benchmarks.upstream import UpstreamTransformer
    from pipeline.checkpoints import npz
    from pipeline.model.networks import open_network
    from pipeline.model.parameters import nest_parameters
    from pipeline.model.section import Model
    from pipeline.model.vit.variants import variant as variant_of

    arrays = npz.load(Path(source), open_network(Model(variant, 224, 1000), Path())).arrays
    parameters = jax.device_put({"params": nest_parameters(arrays)})
    apply = jax.jit(UpstreamTransformer(variant_of(variant), 1000).apply)
    return lambda images: np.asarray(apply(parameters, images))


def import_timm(threads: int) -> None:
    import timm  # noqa: F401
    import torch

    torch.set_num_threads(threads)


def timm_model(variant: str, source: str) -> Any:
    """Returns timm's model with the weights of a checkpoint, as timm reads it.

    It has upstream's GELU (the tanh form) and epsilon of GroupNorm, so that all contenders compute the same function.
    """
    import timm
    import torch

    if variant not in TIMM:
        raise LookupError(f"no {variant} in timm")
    activation = functools.partial(torch.nn.GELU, approximate="tanh")
    model = timm.create_model(TIMM[variant], act_layer=activation).eval()
    model.load_pretrained(source)
    for module in model.modules():
        if isinstance(module, torch.nn.GroupNorm):
            module.eps = 1e-6
    return model


def torch_forward(model: Any) -> Forward:
    """Returns the forward pass of a PyTorch model as a function of NumPy arrays."""
    import torch

    def forward(images: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            output: np.ndarray = model(torch.from_numpy(images)).numpy()
        return output

    return forward


def timm_eager(variant: str, source: str, threads: int) -> Forward:
    return torch_forward(timm_model(variant, source))


def timm_compiled(variant: str, source: str, threads: int) -> Forward:
    """Compiles for each batch size, as XLA does."""
    import torch

    return torch_forward(torch.compile(timm_model(variant, source), dynamic=False))


def import_onnxruntime(threads: int) -> None:
    import onnxruntime  # noqa: F401


def onnx_runtime(variant: str, source: str, threads: int) -> Forward:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"images": images})[0])


def import_openvino(threads: int) -> None:
    import openvino  # noqa: F401


def open_vino(variant: str, source: str, threads: int) -> Forward:
    """Loads an ONNX file in OpenVINO, in float32 like the others; its default may be bfloat16, with errors of 1e-2."""
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = openvino.Core().compile_model(source, "CPU", settings)
    return lambda images: np.array(model(images)[0])


# How to import each contender's framework, given the number of threads, and how to load its source.
CONTENDERS: dict[str, tuple[Callable[[int], None], Callable[[str, str, int], Forward]]] = {
    "ours": (import_tensorflow, saved_model),
    "plain": (import_tensorflow, saved_model),
    "upstream": (import_jax, upstream),
    "timm": (import_timm, timm_eager),
    "timm, compiled": (import_timm, timm_compiled),
    "onnxruntime": (import_onnxruntime, onnx_runtime),
    "OpenVINO": (import_openvino, open_vino),
}


def export(variant: str, source: str, out: str) -> None:
    """Exports timm's model to ONNX, for any batch size."""
    import torch

    images = torch.zeros((2, 3, 224, 224))
    shapes = ({0: torch.export.Dim("n")},)
    model = timm_model(variant, source)
    torch.onnx.export(model, (images,), out, dynamo=True, dynamic_shapes=shapes, input_names=["images"], verbose=False)


@functools.cache
def images_for(contender: str, batch: int) -> np.ndarray:
    """Returns the same noise for every contender, float32 (n, 224, 224, 3) or (n, 3, 224, 224) in [-1, 1]."""
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 224, 224, 3)).astype(np.float32)
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if contender in CHANNELS_FIRST else images


@contextlib.contextmanager
def private_stdout() -> Iterator[IO[str]]:
    """Yields the original stdout, and sends everything that frameworks print to stderr instead."""
    with os.fdopen(os.dup(1), "w", buffering=1) as channel:
        os.dup2(2, 1)
        yield channel


def answer(forward: Forward, contender: str, batch: int, calls: int = 1, save: str = "") -> dict[str, float]:
    """Runs a batch `calls` times and returns the seconds, or writes its outputs to `save`."""
    images = images_for(contender, batch)
    if save:
        np.save(save, forward(images))
        return {}
    started = time.perf_counter()
    for _ in range(calls):
        forward(images)
    return {"seconds": time.perf_counter() - started}


def serve(contender: str, variant: str, source: str, threads: int) -> None:
    """Imports and loads a contender, then answers requests until stdin ends."""
    import_framework, load = CONTENDERS[contender]
    if hasattr(os, "sched_setaffinity"):  # XLA takes as many threads as there are cores
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])
    with private_stdout() as channel:
        started = time.perf_counter()
        try:
            import_framework(threads)
        except ImportError as error:
            channel.write(json.dumps({"missing": str(error)}) + "\n")
            return
        imported = time.perf_counter()
        forward = load(variant, source, threads)
        loaded = time.perf_counter()
        channel.write(json.dumps({"import": imported - started, "load": loaded - imported}) + "\n")
        for line in sys.stdin:
            channel.write(json.dumps(answer(forward, contender, **json.loads(line))) + "\n")


if __name__ == "__main__":
    if sys.argv[1] == "export":
        export(*sys.argv[2:])
    else:
        name, variant, source, threads = sys.argv[1:]
        serve(name, variant, source, int(threads))
