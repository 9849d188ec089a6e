# Publishes vit_demo, from checkpoint to published modules, and leaves the hub in a volume: docs/automation.md.
FROM python:3.11-slim@sha256:9c900dea9e8fb7e16277c179b555cc72d29a352dbc33cff48ad5a0412fd5bfc7

# Of the release that the digest names; a version would vanish from Debian's mirrors at its next update.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install --yes --no-install-recommends make \
 && rm -rf /var/lib/apt/lists/*

ENV PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements.lock /tmp/
RUN pip install --no-cache-dir --root-user-action=ignore --require-hashes -r /tmp/requirements.lock

# The user of the container owns what it writes, and nothing that it runs.
RUN useradd --uid 10001 --create-home publisher \
 && install --directory --owner=publisher --group=publisher /artifacts /hub
WORKDIR /project
COPY . .
USER 10001
VOLUME ["/artifacts", "/hub"]
ENTRYPOINT ["make", "PYTHON=/usr/local/bin/python", "ARTIFACTS=/artifacts", "HUB=/hub"]
CMD ["publish", "MODEL=vit_demo"]
