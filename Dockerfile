# Pumice on the CPU, from its wheel:
#   docker build -t pumice .
#   docker run --rm -v "$PWD/runs:/data/runs" pumice run        # the main job; results in ./runs
# Not in it: Lava (a Python 3.10 of its own), GPUs.
FROM python:3.11-slim AS wheel
WORKDIR /source
COPY . .
RUN pip install --no-cache-dir --constraint constraints.txt build setuptools wheel \
    && python -m build --wheel --no-isolation --outdir /wheel

FROM python:3.11-slim AS packages
RUN pip install --no-cache-dir uv
COPY --from=wheel /wheel /wheel
COPY constraints.txt /
# torch without CUDA; everything at the versions of constraints.txt, in an environment that is copied as it is
RUN uv venv /opt/pumice && uv pip install --python /opt/pumice/bin/python --no-cache --torch-backend=cpu \
    --constraint /constraints.txt /wheel/*.whl

FROM python:3.11-slim
# the compiler is the backend "c" of `pumice simulate`
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
COPY --from=packages /opt/pumice /opt/pumice
RUN useradd --create-home --uid 1000 pumice && mkdir /data && chown pumice:pumice /data
USER pumice
WORKDIR /data
ENV PATH=/opt/pumice/bin:$PATH
ENTRYPOINT ["pumice"]
CMD ["--help"]
