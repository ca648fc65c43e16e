# The main job on a CPU: docker build -t earmark . && docker run --rm -v "$PWD/out:/out" earmark
FROM python:3.11-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    EARMARK_CACHE=/out/cache EARMARK_STORE=/out/store

COPY . /src
# torch and torchaudio of one index: a build without CUDA does not go with the other's torchaudio.
RUN pip install --constraint /src/constraints.txt "/src[text,essentia,train,word2vec,judge]" \
    && rm -rf /src \
    && useradd --create-home --uid 1000 earmark \
    && mkdir /out && chown earmark /out

USER 1000
WORKDIR /out
ENTRYPOINT ["earmark"]
CMD ["bench", "--fetch"]
