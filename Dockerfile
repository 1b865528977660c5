# syntax=docker/dockerfile:1
# The service: `connector serve` with /etc/connector/config.toml, as a user without rights.
#
#   docker build -t handoff-connector .
#   docker run --env-file secrets.env -v "$PWD/config.toml:/etc/connector/config.toml:ro" -v connector:/var/lib/connector handoff-connector
#
# Another command: … handoff-connector check --config /etc/connector/config.toml

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/connector
WORKDIR /source
# First the lock alone: while it stays as it is, this layer does too.
COPY requirements.txt .
RUN /opt/connector/bin/pip install --require-hashes --only-binary :all: -r requirements.txt
COPY pyproject.toml README.md LICENSE config.example.toml ./
COPY connector connector
COPY migrations migrations
RUN /opt/connector/bin/pip install --no-deps --no-build-isolation .

FROM python:3.11-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin connector \
    && install --directory --owner connector --group connector --mode 0750 /var/lib/connector
COPY --from=build /opt/connector /opt/connector
ENV PATH="/opt/connector/bin:$PATH" PYTHONUNBUFFERED=1
# The file's `sqlite:///connector.db` lies here: relative paths start from the working directory.
WORKDIR /var/lib/connector
VOLUME /var/lib/connector
USER connector
# Fails when `serve` has shown no sign of life for three minutes, or passes that were due do not begin.
HEALTHCHECK --interval=1m --timeout=20s --start-period=5m --retries=3 \
    CMD ["connector", "status", "--health", "--config", "/etc/connector/config.toml"]
ENTRYPOINT ["connector"]
# SIGTERM ends it in good order: after the page or batch in hand. Give it a minute: docker stop --time 60.
CMD ["serve", "--config", "/etc/connector/config.toml"]
