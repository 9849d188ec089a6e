"""site: renders the hub's website, static HTML, from its index and the Markdown pages.

    python -m pipeline.site HUB

writes index.html, <publisher>/<publisher>.html, <publisher>/collections/<name>/1.html,
<publisher>/<module>/<version>.html, 404.html, feed.xml, sitemap.xml, and site/ with further pages of lists, the shared
style sheet, scripts and icon, and the project's documentation in site/docs/. Links are relative, so the pages work on
any static host, under any path, and from a disk. A page is written again only when its content or the code that renders
it has changed: site/pages.json has a digest of both for each page.
"""

import argparse
from collections.abc import Sequence

from pipeline.base.command import command
from pipeline.base.fault import Fault
from pipeline.hub.folder import has_index, hub_folder, locked
from pipeline.hub.website import build_hub


def main(arguments: Sequence[str]) -> str:
    parser = argparse.ArgumentParser(prog="python -m pipeline.site", description="Renders the website of a hub.")
    parser.add_argument("hub", help="the hub: a folder")
    hub = hub_folder(parser.parse_args(arguments).hub)
    if not has_index(hub):
        raise Fault(f"{hub}: there is no index.json, so this is not a hub; run make publish first")
    with locked(hub):
        written = build_hub(hub)
    return f"{hub}, {written} pages written"


if __name__ == "__main__":
    raise SystemExit(command("site", main))
