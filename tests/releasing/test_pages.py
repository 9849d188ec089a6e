"""The pages of a target list what all publishers released, and none is replaced by an older one."""

import shutil
from pathlib import Path

from pipeline.base.templates import render
from pipeline.facts.collection import Publisher
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.releasing.pages import read_publisher
from pipeline.releasing.receipts import file_name
from pipeline.targets.interface import Target
from tests.releasing.hubs import find_lack, take_apart
from tests.releasing.watched import Watched


def publish(hub: Path, target: Target) -> None:
    release(read_local_hub(hub), target, None, hub.parent / f"receipts of {hub.name}")


def page(target: Target, path: str) -> str:
    answer = target.get(path)
    assert answer
    return answer[0].decode()


def test_a_released_hub_is_the_hub(released_hub: Path, target: Target, tmp_path: Path) -> None:
    """Whoever publishes, the bytes are the same."""
    release(read_local_hub(released_hub), target, None, tmp_path)
    paths = {stored.path for stored in target.list("") if not stored.path.startswith("claims/")}
    for path in paths:
        assert b"".join(target.chunks(path)) == (released_hub / path).read_bytes(), path
    files = {path.relative_to(released_hub).as_posix() for path in released_hub.rglob("*") if path.is_file()}
    assert files - paths <= {".lock", ".clean", "hub.yaml", "site/pages.json", "site/memory.json"}


def test_a_later_publisher_sees_the_earlier_one(released_hub: Path, target: Target, tmp_path: Path) -> None:
    first = take_apart(released_hub, tmp_path / "first", "sayakpaul")
    second = take_apart(released_hub, tmp_path / "second", "vit-publisher")
    publish(first, target)
    publish(second, target)
    assert not list(find_lack(target, first, second))
    for name in ("vit_s16_fe", "vit_demo_fe"):
        assert name in page(target, "index.html")


def test_a_page_is_written_again_when_another_publisher_was_faster(
    released_hub: Path, target: Target, tmp_path: Path
) -> None:
    """The other one releases everything between this one's reading of the index and its first page."""
    first = take_apart(released_hub, tmp_path / "first", "sayakpaul")
    second = take_apart(released_hub, tmp_path / "second", "vit-publisher")
    is_first = True

    def overtake(operation: str, path: str) -> None:
        nonlocal is_first
        if (operation, path) == ("swap", "index.html") and is_first:
            is_first = False
            publish(second, target)

    publish(first, Watched(target, overtake))
    assert not is_first
    assert not list(find_lack(target, first, second))


def test_only_what_changed_is_written(hub: Path, target: Target) -> None:
    requests: list[tuple[str, str]] = []
    publish(hub, target)

    def note(operation: str, path: str) -> None:
        if not path.startswith(".probe/"):
            requests.append((operation, path))

    watched = Watched(target, note)
    publish(hub, watched)
    assert not [path for operation, path in requests if operation in ("swap", "create", "put_large")]
    assert not [
        path for operation, path in requests if operation == "get" and path.endswith((".html", ".md", "x.json"))
    ]
    shutil.rmtree(hub.parent / f"receipts of {hub.name}" / f"{file_name(target.address)}.pages")
    publish(hub, watched)
    assert not [path for operation, path in requests if operation in ("swap", "create", "put_large")]


def test_a_publishers_page_is_read_back() -> None:
    for publisher in (
        Publisher("tester", "A *Tester*", "For tests.\n\n### Aims\n\nThey are *few*."),
        Publisher("tester", "Tester", "For tests."),
    ):
        for collections in ([], [{"address": "tester/collections/vit/1"}]):
            text = render("publisher.md.jinja", publisher=publisher, list="### Modules\n\n", collections=collections)
            assert read_publisher("tester", text) == publisher
