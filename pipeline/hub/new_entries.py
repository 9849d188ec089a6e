"""The entries of what is published now: of a new version, and of one that is published again."""

from collections.abc import Iterable
from dataclasses import replace

from pipeline.base.heads import Head
from pipeline.facts.accuracy import Accuracy, Reported
from pipeline.facts.collection import Collection, Module
from pipeline.facts.formats import FormatReport
from pipeline.facts.report import Report
from pipeline.facts.status import status_of
from pipeline.hub.entries import Measured, ModuleEntry, PublishedFile, Quoted
from pipeline.hub.published_formats import LITERT, in_order, published_format


def module_entry(
    handle: str,
    head: Head,
    module: Module,
    collection: Collection,
    report: Report,
    files: tuple[PublishedFile, ...],
    formats: Iterable[FormatReport] = (),
) -> ModuleEntry:
    """Returns the entry of a module that is published now; every figure is the report's.

    Args:
        handle: <publisher>/<name>/<version>.
        head: which of the member's modules it is.
        module: the member's section `module`.
        collection: the collection it belongs to.
        report: what validate wrote.
        files: the tarball first, then the card, the plots and the files of the other formats.
        formats: what was measured of the other formats; those without files are left out.
    """
    checks, measured = report.modules[head], _measured(report.accuracy)
    weights = report.checkpoint.verification
    return ModuleEntry(
        handle=handle,
        title=module.title,
        task=head.task,
        files=files,
        collection=collection.name,
        dataset=collection.dataset_name,
        license=collection.license,
        variant=report.model.variant,
        architecture=report.model.tag,
        family=report.model.family,
        image_size=report.model.image_size,
        parameters=checks.weights.parameters,
        unpacked=checks.bytes,
        weights=weights,
        tensorflow=checks.needs.tensorflow,
        measured=measured,
        quoted=_quoted(report.quoted),
        status=status_of(weights, measured.interval if measured else None, module.accuracy_waived),
        waived=module.accuracy_waived,
        formats=in_order(published_format(handle, measured) for measured in formats if measured.files),
    )


def carry_over(previous: ModuleEntry | None, entry: ModuleEntry) -> ModuleEntry:
    """Returns the entry of a version that is published again.

    It has the withdrawal of the earlier one, its date unless that was a draft and this is released, the number of its
    card, and the formats that were not made again.

    Args:
        previous: its entry until now; None for a new version.
        entry: the new one.
    """
    if previous is None:
        return entry
    old, new = previous.card, entry.card
    changed = old is not None and (new is None or old.sha256 != new.sha256)
    return replace(
        _with_earlier_formats(previous, entry),
        revision=previous.revision + changed,
        yanked=previous.yanked,
        deprecated=previous.deprecated,
        unyanked=previous.unyanked,
        undeprecated=previous.undeprecated,
        published=entry.published if entry.is_released and not previous.is_released else previous.published,
    )


def _with_earlier_formats(previous: ModuleEntry, entry: ModuleEntry) -> ModuleEntry:
    """Returns an entry with the formats that only the earlier one has, and their files: others may use them.

    What "Try it" shows is made with the LiteRT files, and stays with them.
    """
    names, listed = {published.name for published in entry.formats}, {file.page for file in entry.files}
    kept = [published for published in previous.formats if published.name not in names]
    pages = {path for published in kept for path in published.files}
    if names.isdisjoint(LITERT):
        pages |= {file.page for file in previous.files if previous.is_trial_page(file.page)}
    files = (file for file in previous.files if file.page in pages - listed)
    return replace(entry, files=(*entry.files, *files), formats=in_order((*entry.formats, *kept)))


def _measured(accuracy: Accuracy) -> Measured | None:
    figures = accuracy.measured
    if figures is None:
        return None
    return Measured(
        top1=figures.top1,
        interval=figures.top1_interval,
        images=figures.images,
        dataset=accuracy.dataset,
        classes=figures.classes,
        outputs=figures.possible_classes,
        training_images=figures.training_images,
        images_per_second=figures.images_per_second,
    )


def _quoted(reported: Reported | None) -> Quoted | None:
    return Quoted(reported.top1, reported.source) if reported else None
