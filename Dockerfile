# The gateway with all it needs to run against your stores (or embedded ones). docs/docker.md
FROM python:3.11.14-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PYTHONDONTWRITEBYTECODE=1

RUN python -m venv /opt/venv
COPY requirements.lock /tmp/requirements.lock
# Every package as locked, by its hash.
RUN /opt/venv/bin/pip install --require-hashes -r /tmp/requirements.lock


FROM python:3.11.14-slim-bookworm

# KubeRay's probes call wget; tini reaps what Ray's workers leave behind.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libmagic1 tini wget \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 gateway \
    && useradd --uid 10001 --gid gateway --home-dir /var/lib/gateway --create-home \
        --shell /usr/sbin/nologin gateway

COPY --from=build /opt/venv /opt/venv
WORKDIR /opt/gateway
COPY pyproject.toml requirements.lock serve_app.py sitecustomize.py ./
COPY actors ./actors
COPY api ./api
COPY client ./client
COPY cluster ./cluster
COPY ops ./ops
COPY sandbox ./sandbox
# Whoever runs it may not write here: each process would compile what it imports.
RUN /opt/venv/bin/python -m compileall -q /opt/gateway

ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/gateway \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GATEWAY_DATA_DIR=/var/lib/gateway \
    GATEWAY_DATA_ROOT=/var/lib/gateway/data \
    GATEWAY_ENV_FILE=/dev/null \
    HTTP_HOST=0.0.0.0 \
    HTTP_PORT=3000 \
    RAY_USAGE_STATS_ENABLED=0

USER 10001:10001
VOLUME /var/lib/gateway
EXPOSE 3000
HEALTHCHECK --interval=15s --timeout=5s --start-period=90s --retries=4 \
    CMD ["wget", "--quiet", "--tries=1", "--timeout=4", "--output-document=/dev/null", "http://127.0.0.1:3000/health/live"]

ENTRYPOINT ["tini", "--"]
CMD ["python", "-m", "ops.cli", "up", "--foreground"]
