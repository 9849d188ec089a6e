"""Opens a checkpoint of any kind that can be read, told by its content."""

from pathlib import Path

from pipeline.base.fault import UnusableFile
from pipeline.checkpoints.containers.weights_file import WeightsFile
from pipeline.checkpoints.file_kinds import MSGPACK, ORBAX, SAFETENSORS, describe_unreadable, identify

_ENDINGS = {".safetensors": SAFETENSORS, ".msgpack": MSGPACK}


def open_weights(path: Path, where: str) -> WeightsFile:
    """Opens a file or folder of weights.

    Args:
        path: the file or folder.
        where: what messages call it, such as the address it came from.

    Raises:
        UnusableFile: when it is of another kind, damaged, or exceeds a bound.
        OSError: when it cannot be read.
    """
    if problem := describe_unreadable(path):
        raise UnusableFile(f"{where}: {problem}")
    # What is cut short may be of no kind; its reader says so.
    kind = identify(path) or next((kind for end, kind in _ENDINGS.items() if where.endswith(end)), None)
    # Each reader's library is imported for such a file alone.
    if kind == SAFETENSORS:
        from pipeline.checkpoints.containers.safetensors import SafetensorsWeights

        return SafetensorsWeights(path, where)
    if kind == MSGPACK:
        from pipeline.checkpoints.containers.msgpack import MsgpackWeights

        return MsgpackWeights(path, where)
    if kind == ORBAX:
        from pipeline.checkpoints.containers.orbax import OrbaxWeights

        return OrbaxWeights(path, where)
    from pipeline.checkpoints.containers.npz import NpzWeights

    return NpzWeights(path, where)
