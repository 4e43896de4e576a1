# Training: the whole program with PyTorch, for CPU and NVIDIA GPUs alike. From the repository's root:
#   docker build -f docker/train.Dockerfile -t slipway:train .
# Of the same shape as docker/Dockerfile, which explains it; here PyTorch and NVIDIA's libraries are the layer of their own.

# Pinned in docker/images.toml.
ARG BASE=docker.io/library/python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b

FROM ${BASE} AS builder
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY docker/requirements/ requirements/
RUN python3 -m venv pip && python3 -m venv --without-pip /opt/venv
ENV INSTALL="pip/bin/pip --python /opt/venv/bin/python install --quiet --no-deps --no-compile"

# Without bytecode: PyTorch's alone would be larger than a serving image, and a training run compiles it once.
FROM builder AS libraries
RUN ${INSTALL} --require-hashes --only-binary=:all: -r requirements/train-libraries.txt

# train-sources.txt: packages that are published as source alone, built with the pinned tools of build.txt.
FROM builder AS packages
RUN ${INSTALL} --require-hashes --only-binary=:all: -r requirements/train.txt \
    && pip/bin/pip install --quiet --no-deps --require-hashes --only-binary=:all: -r requirements/build.txt \
    && pip/bin/pip wheel --quiet --no-deps --no-build-isolation --require-hashes --wheel-dir wheel \
        -r requirements/train-sources.txt \
    && ${INSTALL} --no-index wheel/*.whl \
    && site="$(/opt/venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" \
    && echo /opt/slipway > "${site}/slipway.pth"

FROM builder AS application
COPY pyproject.toml README.md LICENSE slipway.py ./
COPY models/ models/
COPY service/ service/
COPY training/ training/
RUN pip/bin/pip install --quiet --no-deps --require-hashes --only-binary=:all: -r requirements/build.txt \
    && pip/bin/pip wheel --quiet --no-deps --no-build-isolation --wheel-dir wheel . \
    && ${INSTALL} --no-index --target /opt/slipway wheel/*.whl

FROM ${BASE}
RUN groupadd --gid 10001 slipway \
    && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /tmp \
        --shell /usr/sbin/nologin slipway \
    && find / -xdev -type f -perm /6000 -exec chmod ug-s {} + \
    && mkdir /training && chown 10001:10001 /training
COPY --from=libraries /opt/venv /opt/venv
COPY --from=packages /opt/venv /opt/venv
COPY --from=application /opt/slipway /opt/slipway
ENV PATH=/opt/slipway/bin:/opt/venv/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 NVIDIA_DRIVER_CAPABILITIES=compute,utility \
    HOME=/tmp
ARG BASE
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=unknown
LABEL org.opencontainers.image.title="slipway (train)" \
      org.opencontainers.image.description="Trains deep-learning models and publishes them as ONNX bundles." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="${BASE}"
USER 10001:10001
# Checkpoints go to /training/runs, published models to /training/models/repository.
WORKDIR /training
ENTRYPOINT ["slipway"]
CMD ["recipes"]
