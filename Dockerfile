# syntax=docker/dockerfile:1
# Two images from one file: `api` (no PyTorch, no worker code) and `worker` (PyTorch, one GPU each).
#   docker build --target api -t caliper-api .      docker build --target worker -t caliper-worker .
# .ci/image-steps repeats the pip steps of `api-packages` without a container engine.
ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# Packages before source: a change of the code does not install anything again.
FROM ${PYTHON_IMAGE} AS api-packages
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PATH=/opt/caliper/bin:$PATH
WORKDIR /srv/caliper
RUN python -m venv /opt/caliper
COPY pyproject.toml requirements.lock README.md ./
# An editable install of empty packages: the source comes to this very path afterwards.
RUN mkdir app worker && touch app/__init__.py worker/__init__.py
RUN pip install -c requirements.lock -e '.[s3]'

FROM api-packages AS worker-packages
# The registry's torch for Linux carries CUDA; a worker without a GPU may name an index of CPU builds.
ARG PIP_EXTRA_INDEX_URL=""
RUN pip install -c requirements.lock -e '.[worker,s3]'

FROM ${PYTHON_IMAGE} AS base
ENV PATH=/opt/caliper/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp \
    CALIPER_DATA_DIR=/var/lib/caliper
RUN groupadd --gid 10001 caliper \
    && useradd --uid 10001 --gid caliper --no-create-home --shell /usr/sbin/nologin caliper \
    && install -d -o caliper -g caliper -m 0700 /var/lib/caliper /var/lib/caliper/tmp /var/lib/caliper/artifacts
WORKDIR /srv/caliper
# Everything that is kept lies in this volume; the rest of the file system may be read-only, save /tmp.
VOLUME /var/lib/caliper

FROM base AS api
COPY --from=api-packages /opt/caliper /opt/caliper
COPY pyproject.toml ./
COPY migrations ./migrations
COPY app ./app
# Uploads wait on the volume's disk: /tmp is often memory. It listens on every address of its container, and so asks for
# keys: `docker run … caliper-api caliper keys create NAME --role admin` makes the first one.
ENV TMPDIR=/var/lib/caliper/tmp \
    CALIPER_HOST=0.0.0.0 \
    CALIPER_REQUIRE_KEYS=true
USER 10001:10001
EXPOSE 8400
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=4 \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8400/healthz', timeout=4)"]
CMD ["uvicorn", "app.main:create_app", "--factory", "--host", "0.0.0.0", "--port", "8400", "--no-server-header", "--timeout-graceful-shutdown", "20", "--http", "app.api.http_protocol:GuardedProtocol", "--ws", "none"]

FROM base AS worker
COPY --from=worker-packages /opt/caliper /opt/caliper
COPY pyproject.toml ./
COPY migrations ./migrations
COPY app ./app
COPY worker ./worker
# What jobs record: docker build --build-arg CALIPER_SOURCE_COMMIT=$(git rev-parse HEAD) …
ARG CALIPER_SOURCE_COMMIT=""
ENV CALIPER_SOURCE_COMMIT=${CALIPER_SOURCE_COMMIT}
# SIGTERM is Celery's warm shutdown: the running job writes a checkpoint first.
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
# The consuming process answers, also while its child trains.
HEALTHCHECK --interval=60s --timeout=30s --start-period=60s --retries=3 \
    CMD ["sh", "-c", "celery -A worker.main:app inspect ping -d \"caliper@$(hostname)\" -t 10"]
CMD ["celery", "-A", "worker.main:app", "worker", "-P", "prefork", "-c", "1", "-n", "caliper@%h", "-l", "INFO", "--without-gossip", "--without-mingle"]
