"""new: writes the YAML files of a member of one's own, with marked places for what nobody but its author knows.

    python -m pipeline.new COLLECTION MEMBER [--checkpoint FILE_OR_URL] [--variant NAME] [--architecture NAME]
                           [--cards FOLDER]

writes FOLDER/COLLECTION/MEMBER.yaml, and collection.yaml for a new collection. Open places begin with "TODO:" and say
what to write; every stage refuses a file that has one (pipeline.base.strict_yaml). What the arrays of a checkpoint tell
is filled in. For a network of one's own, `<file>.py:<class>`, it writes an example of the file if that is missing.
"""

import argparse
import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipeline.base.addresses import public_address
from pipeline.base.command import command_line, guarded
from pipeline.base.fault import Fault, Unavailable, list_names, nearest, show_name
from pipeline.base.files import expand_home, folder_digest, sha256_of, write_text
from pipeline.base.strict_yaml import OPEN_PLACE
from pipeline.base.templates import render
from pipeline.base.yaml_sections import YamlFile
from pipeline.checkpoints import arrays_of
from pipeline.download import cache
from pipeline.download.address import is_remote, local_path, scheme_of
from pipeline.download.obtain import Access, obtain_file
from pipeline.model import architectures
from pipeline.model.architecture import Guess, Shape
from pipeline.model.section import Model, Option
from pipeline.pool import papers
from pipeline.pool.members import check_collection_name, check_member_name

_DEFAULT = Model.architecture
_ANY_SIZE = 224  # pixels, for a check of a variant alone


@dataclass(frozen=True)
class Origin:
    """The section `checkpoint`, its texts as YAML values.

    Attributes:
        name: the checkpoint's name.
        source: its source.
        sha256: the digest to pin, None for a remote one.
        models: the prefixes to choose from, where the file holds several models.
    """

    name: str
    source: str
    sha256: str | None = None
    models: Sequence[str] = ()


@dataclass(frozen=True)
class Facts:
    """What is known of a new member; None is an open place.

    Attributes:
        architecture, variant, image_size, classes, options: of the section `model`.
        origin: of the section `checkpoint`.
    """

    architecture: str
    variant: str | None = None
    image_size: int | None = None
    classes: int | None = None
    options: Mapping[str, Option] = field(default_factory=dict)
    origin: Origin | None = None


@dataclass(frozen=True)
class Request:
    """What the user gave: the names of collection and member, and the settings, None where one was not given."""

    collection: str
    member: str
    checkpoint: str | None = None
    variant: str | None = None
    architecture: str | None = None


def read_shapes(place: str, access: Access, is_own: bool) -> tuple[dict[str, Shape], list[str]]:
    """Returns the shapes of a checkpoint's arrays by their normalized names, and the prefixes of its models if several.

    A remote one is downloaded. With `is_own` the names are those of the file, as fetch leaves them for a network of
    one's own.

    Raises:
        Fault: when there is no such file, or it is no checkpoint that can be read.
    """
    scheme_of(place, "CHECKPOINT")
    if not is_remote(place):
        path = expand_home(local_path(place))
        if not path.exists():
            raise Fault(f"CHECKPOINT={place}: no such file; expected a checkpoint, a path or an address")
        return arrays_of.read_shapes(path, str(path), is_own)
    try:
        with obtain_file(place, access, "new") as file:
            return arrays_of.read_shapes(file.path, public_address(place), is_own)
    except Unavailable as reason:
        raise Fault(f"CHECKPOINT={public_address(place)}: {reason}") from None


def guess_model(shapes: Mapping[str, Shape]) -> tuple[str, Guess] | None:
    """Returns the architecture and the model that arrays look like, or None where no architecture knows them."""
    for name in architectures.list_architectures():
        if guess := architectures.find_part(name, "architecture").ARCHITECTURE.guess(shapes):
            return name, guess
    return None


def collect_facts(request: Request, folder: Path, access: Access) -> Facts:
    """Returns what the settings and the checkpoint's arrays tell.

    Args:
        request: the settings.
        folder: the collection's folder, to which a local checkpoint's path will be relative.
        access: how a remote checkpoint is downloaded.

    Raises:
        Fault: when the settings are wrong, or unlike the checkpoint.
    """
    if request.architecture or request.variant:
        _check_model(request.architecture or _DEFAULT, request.variant)
    if request.checkpoint is None:
        return Facts(request.architecture or _DEFAULT, request.variant)
    is_own = architectures.is_own(request.architecture or "")
    shapes, models = read_shapes(request.checkpoint, access, is_own)
    origin = replace(_describe_source(request.checkpoint, folder), models=models)
    if request.architecture and is_own:
        bias = shapes.get("head/bias")
        classes = None if bias is None else math.prod(bias)
        return Facts(request.architecture, request.variant, classes=classes, origin=origin)
    name, guess = _guess(request, shapes)
    return Facts(name, guess.variant, guess.image_size, guess.classes, guess.options, origin)


def _guess(request: Request, shapes: Mapping[str, Shape]) -> tuple[str, Guess]:
    """Returns the architecture and the model of a checkpoint; refuses settings that are unlike them."""
    shown = public_address(request.checkpoint or "")
    found = guess_model(shapes)
    if found is None:
        raise Fault(
            f"CHECKPOINT={shown}: its {len(shapes)} arrays ({list_names(sorted(shapes), 3)}) are those of none of"
            f" {', '.join(architectures.list_architectures())}; for a network of your own, set"
            " ARCHITECTURE=<file>.py:<class>, see docs/own_networks.md"
        )
    name, guess = found
    given = (("ARCHITECTURE", request.architecture, name), ("VARIANT", request.variant, guess.variant))
    for setting, value, expected in given:
        if value is not None and value != expected:
            raise Fault(f"{setting}={value}: the arrays of {shown} look like {name} {guess}; leave {setting} out")
    return found


def _check_model(architecture: str, variant: str | None) -> None:
    """Refuses an architecture or a variant that no model can have."""
    if not architectures.is_own(architecture) and architecture not in (names := architectures.list_architectures()):
        raise Fault(
            f"ARCHITECTURE={architecture}: unknown{nearest(architecture, names)}; expected {', '.join(names)}, or"
            " <file>.py:<class> for a network of your own"
        )
    if variant is not None:
        try:
            Model(variant, _ANY_SIZE, classes=1, architecture=architecture)
        except Fault as fault:
            if not str(fault).startswith("model.image_size"):  # the variant is known, and needs another size
                raise Fault(f"VARIANT={variant}: {str(fault).removeprefix('model.')}") from None


def _describe_source(place: str, folder: Path) -> Origin:
    """Returns how a member's file in `folder` names a checkpoint."""
    if is_remote(place):
        public = public_address(place)
        name = re.split("[?#]", public)[0].rstrip("/").rsplit("/", 1)[-1]
        return Origin(_quote(name.rpartition(".")[0] or name), _quote(public))
    path = expand_home(local_path(place)).resolve()
    is_near = path.is_relative_to(folder.parent.resolve().parent)
    source = Path(os.path.relpath(path, folder.resolve())).as_posix() if is_near else str(path)
    return Origin(_quote(path.stem), _quote(source), sha256_of(path) if path.is_file() else folder_digest(path))


def _quote(text: str) -> str:
    """Returns a text as a YAML value."""
    return text if re.fullmatch(r"[A-Za-z_][\w./-]*", text, re.ASCII) else json.dumps(text, ensure_ascii=False)


def draft(request: Request, facts: Facts, cards: Path) -> dict[Path, str]:
    """Returns the texts of the files that are missing, by path; the member's is the last.

    Args:
        request: the settings.
        facts: what is known of the member.
        cards: the folder of all collections.
    """
    folder, is_own = cards / request.collection, architectures.is_own(facts.architecture)
    texts = {}
    if is_own:
        file, _, name = facts.architecture.partition(":")
        texts[folder / file] = render("new/own_network.py.jinja", name=name)
    family = papers.FAMILIES.get(facts.architecture)
    texts[folder / "collection.yaml"] = render(
        "new/collection.yaml.jinja", name=request.collection, paper=family and family.paper
    )
    variant = "what cards call this size of the network, such as small" if is_own else "the variant, such as S/16"
    models = " or ".join(show_name(model) for model in facts.origin.models) if facts.origin else ""
    texts[folder / f"{request.member}.yaml"] = render(
        "new/member.yaml.jinja", facts=facts, is_own=is_own, default_architecture=_DEFAULT,
        prefix=_quote(f"{OPEN_PLACE} which of the models in the file: {models}") if models else "",
        variant=_quote(facts.variant or f"{OPEN_PLACE} {variant}"),
    )  # fmt: skip
    return {path: text for path, text in texts.items() if not path.exists()}


def _check_names(request: Request, cards: Path) -> None:
    check_collection_name(request.collection)
    check_member_name(f"MODEL={request.member}", request.member, "my_model")
    for path in sorted(cards.glob(f"*/{request.member}.yaml")):
        raise Fault(f"{path}: this member exists; set MODEL=<another name>, or edit the file")


def describe_collection(path: Path) -> str:
    """Returns what the pages of an existing collection will say of a new member, as a note; "" of one that is open."""
    try:
        content = YamlFile(path).plain()
        training, paper = content["training"], content["references"][0]["text"]
    except (Fault, LookupError, TypeError):  # which its stages report
        return ""
    return (
        f"the pages will say of the member what {path} says of all: it was {training}; and that its architecture is the"
        f" one of {paper!r}; if that is not true, delete the file that was written, and set COLLECTION=<a new name>"
    )


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m pipeline.new", description="Writes the YAML files of a member of one's own."
    )
    parser.add_argument("collection", help="its collection, a folder of --cards that may be new")
    parser.add_argument("member", help="its name")
    parser.add_argument("--checkpoint", help="a file or URL of its weights, whose arrays tell what they can")
    parser.add_argument("--variant", help="its variant, where no checkpoint is at hand")
    parser.add_argument("--architecture", help=f"its architecture, or <file>.py:<class> (default: {_DEFAULT})")
    parser.add_argument("--cards", type=Path, default=Path("model_cards"), help="the folder of all collections")
    cache.add_options(parser)
    args = parser.parse_args(arguments)
    request = Request(
        args.collection, args.member, args.checkpoint or None, args.variant or None, args.architecture or None
    )
    _check_names(request, args.cards)
    folder = args.cards / request.collection
    facts = collect_facts(request, folder, Access(cache.folder(args.cache), args.offline))
    note = describe_collection(folder / "collection.yaml") if (folder / "collection.yaml").exists() else ""
    texts = draft(request, facts, args.cards)
    for path, text in texts.items():
        write_text(path, text)
        places = f"with {text.count(OPEN_PLACE)} open places" if path.suffix == ".yaml" else "an example"
        print(f"wrote {path}, {places}")
    if note:
        print(f"note: {note}")
    print(f"next: write what the places that begin with {OPEN_PLACE} say, then make publish MODEL={request.member}")


if __name__ == "__main__":
    raise SystemExit(guarded("new", lambda: main(command_line())))
