"""The message for a checkpoint that no source has: the reason of each source, and what to try."""

from collections.abc import Mapping

from pipeline.base.addresses import public_address
from pipeline.base.fault import Forbidden, Misconfigured, NotCached, Unavailable, Unreachable
from pipeline.checkpoints.section import Checkpoint, Source
from pipeline.download.address import is_remote

_CLOSED_BUCKET = ("gs://vit_models/", "https://storage.googleapis.com/vit_models/")
Reasons = Mapping[Source, Unavailable]


def describe_failure(checkpoint: Checkpoint, reasons: Reasons) -> str:
    """Returns the message.

    Args:
        checkpoint: the section.
        reasons: why each source does not have the file, in the order in which they were tried.
    """
    lines = [f"no source has the checkpoint {checkpoint.name}.npz. Tried:"]
    lines += [f"  {public_address(source.address)}: {reason}" for source, reason in reasons.items()]
    if not reasons:
        lines.append("  nothing: checkpoint.sources is empty")
    if _bucket_is_closed(reasons):
        lines.append(
            "The bucket gs://vit_models has been closed to anonymous readers since February 2026: it answers HTTP 403"
            " (google-research/vision_transformer, issue 321)."
        )
    remedies = [f"({number}) {text}" for number, text in enumerate(_list_remedies(checkpoint, reasons), start=1)]
    lines.append("Try: " + ";\n  ".join(remedies) + ".")
    return "\n".join(lines)


def _list_remedies(checkpoint: Checkpoint, reasons: Reasons) -> list[str]:
    """Returns the remedies that apply to the reasons; offline, for instance, nobody lacks credentials."""
    kinds = {type(reason) for reason in reasons.values()}
    kinds_of_hosts = {type(reason) for source, reason in reasons.items() if is_remote(source.address)}
    remedies = {
        "leave out OFFLINE=1, which keeps fetch off the network": NotCached in kinds,
        # If some host was reached, the network works and the other hosts are down.
        "check your network (it may need HTTPS_PROXY=<its proxy>) and run the same command again": (
            kinds_of_hosts == {Unreachable}
        ),
        "correct the setting that the reason names and run the same command again": Misconfigured in kinds,
        f"put a copy, {checkpoint.name}.npz, into a folder and set CHECKPOINTS=<folder>, or its URL": True,
        "with Google credentials that may read the bucket, run gcloud auth application-default login, or set"
        " CLOUDSDK_AUTH_ACCESS_TOKEN to what gcloud auth print-access-token prints": _bucket_is_closed(reasons),
        "choose a member with a copy from timm on Hugging Face (an hf: address in its checkpoint.sources), or add an"
        " address of your own there": bool(kinds - {NotCached, Unreachable, Misconfigured}) or not kinds,
    }
    return [text for text, applies in remedies.items() if applies]


def _bucket_is_closed(reasons: Reasons) -> bool:
    return any(
        source.address.startswith(_CLOSED_BUCKET) and isinstance(reason, Forbidden)
        for source, reason in reasons.items()
    )
