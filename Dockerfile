# trainedon in a container. On processors:
#   docker build -t trainedon .
# With the build of torch that uses NVIDIA cards:
#   docker build -t trainedon:cuda --build-arg TORCH=cuda .
# Pictures, models and runs lie in the folder that is mounted as /work; no network is needed:
#   docker run --rm --network none --user "$(id -u):$(id -g)" -v "$PWD:/work" trainedon audit MODEL PICTURES --out RUN
ARG PYTHON=3.11

FROM python:${PYTHON}-slim AS build
ARG TORCH=cpu
ARG EXTRAS=demo,face,efficientnet,heif,jxl,seal
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY LICENSES LICENSES
COPY src src
# On PyPI the builds of torch for Linux are those for NVIDIA cards.
RUN python -m venv /opt/trainedon \
    && if [ "$TORCH" = cpu ]; then export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi \
    && /opt/trainedon/bin/python -m pip install --no-cache-dir -c constraints.txt ".[$EXTRAS]"

FROM python:${PYTHON}-slim
COPY --from=build /opt/trainedon /opt/trainedon
RUN useradd --create-home --uid 1000 auditor && install --directory --owner=auditor /work
# Models are folders or files; for names on a hub: --network bridge -e HF_HUB_OFFLINE=0
ENV PATH=/opt/trainedon/bin:$PATH \
    HOME=/work \
    HF_HUB_OFFLINE=1
USER 1000
WORKDIR /work
VOLUME ["/work"]
ENTRYPOINT ["trainedon"]
CMD ["--help"]
