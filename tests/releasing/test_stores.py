"""Releases to object stores that are stopped, meet another publisher, or find a server that ignores conditions."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from pipeline.base.fault import Fault
from pipeline.release import release
from pipeline.releasing.local_hub import read_local_hub
from pipeline.targets.interface import Target
from pipeline.targets.open import open_target
from tests.releasing.hubs import add_formats, find_damage, find_lack, halves
from tests.releasing.watched import Watched
from tests.targets.conftest import Opener, open_on, servers  # noqa: F401
from tests.targets.servers import Server, Servers, fake_gcs, moto, nanio

Start = Callable[[Path], AbstractContextManager[Server]]
STOPS = (5, 8, 10, 10, 10)  # writes, those of the probe among them


def publish(hub: Path, target: Target) -> None:
    release(read_local_hub(hub), target, None, hub.parent / f"receipts of {hub.name}")


@pytest.mark.parametrize("start", [moto, pytest.param(fake_gcs, marks=pytest.mark.long)])
def test_what_stopped_releases_leave_is_whole(
    released_hub: Path,
    servers: Servers,  # noqa: F811
    open_on: Opener,  # noqa: F811
    tmp_path: Path,
    start: Start,
) -> None:
    target, (hub, other) = open_on(servers.get(start)), halves(released_hub, tmp_path)
    for stop in STOPS:
        left = stop

        def count(operation: str, path: str) -> None:
            nonlocal left
            left -= operation in ("create", "swap", "put_large")
            if left < 0:
                raise InterruptedError(path)

        with pytest.raises(InterruptedError):
            publish(hub, Watched(target, count))
        assert not list(find_damage(target))
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(publish, each, open_target(target.address)) for each in (hub, other)]:
            done.result()
    assert not [*find_damage(target), *find_lack(target, hub, other)]
    # A version that is released already gets a format.
    handle, before = "vit-publisher/vit_demo_classification/1", {stored.path: stored.tag for stored in target.list("")}
    add_formats(hub, handle, {"litert-int8": {"model_int8.tflite": b"int8"}})
    publish(hub, target)
    after = {stored.path: stored.tag for stored in target.list("")}
    assert after.keys() - before.keys() == {
        f"{handle}/model_int8.tflite", f"claims/{handle}/model_int8.tflite.json",
    }  # fmt: skip
    changed = {path for path in before if before[path] != after[path]}
    shard = next(path for path in changed if path.startswith("index/"))
    # Pages that two publishers wrote at once may have lacked what the other one released.
    pages = {path for path in before if path.endswith(".html") or path == "vit-publisher/vit-publisher.md"}
    pages |= {"feed.xml", "sitemap.xml", "site/models.js"}
    assert changed <= {shard, "index.json", *pages}
    assert not [*find_damage(target), *find_lack(target, hub, other)]


def test_a_server_that_ignores_conditions_is_refused(
    hub: Path,
    servers: Servers,  # noqa: F811
    open_on: Opener,  # noqa: F811
) -> None:
    target = open_on(servers.get(nanio))
    with pytest.raises(Fault, match="cannot be a target, since it replaced a file by a write that must only create"):
        publish(hub, target)
    assert not list(target.list(""))
