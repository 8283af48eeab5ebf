# The index builder as a job (infra/templates/builder.yaml): this package with its extras build and gpu.
#   docker build -f infra/container/Dockerfile.builder -t shopcam:builder-1 .

FROM python:3.11.13-slim-bookworm AS packages
# fastText builds from source; the compiler stays behind in this stage. Versions are those of the base image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY pyproject.toml constraints.txt infra/container/requirements.py ./
# faiss-gpu brings CUDA's libraries; the driver is the host's.
RUN python requirements.py pyproject.toml gpu build > requirements.txt \
    && python -m venv /opt/shopcam \
    && /opt/shopcam/bin/pip install --no-cache-dir --constraint constraints.txt --requirement requirements.txt

FROM python:3.11.13-slim-bookworm
COPY --from=packages /opt/shopcam /opt/shopcam
WORKDIR /app
COPY catalog/ catalog/
COPY export/ export/
COPY index_builder/ index_builder/
COPY infra/__init__.py infra/aws.py infra/build_job.py infra/
ENV PATH=/opt/shopcam/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    HOME=/var/cache/shopcam \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
# The work folder is a file system of its own, mounted there by the job, which root owns: a build runs as root and nobody calls it.
RUN python -m compileall -q /app \
    && mkdir -p /work /var/cache/shopcam
CMD ["python", "-m", "infra.build_job", "--help"]
