# The dashboard for others. PyTorch without gigabytes of CUDA:
#     docker build --build-arg TORCH_INDEX=<the CPU index that pytorch.org names> -t gptloss .
# MODEL is baked in, so that the server needs no network; empty for none.
FROM python:3.11-slim

ARG TORCH_INDEX=
ARG MODEL=smollm2-135m

ENV PYTHONUNBUFFERED=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    GPTLOSS_HOME=/models GPTLOSS_PROFILE=hosted HOME=/tmp

WORKDIR /app
COPY requirements.txt pyproject.toml README.md ./
RUN if [ -n "$TORCH_INDEX" ]; then pip install --index-url "$TORCH_INDEX" torch==2.13.0; fi
RUN pip install -r requirements.txt

COPY . .
RUN pip install --no-deps --editable .
RUN if [ -n "$MODEL" ]; then gptloss models pull "$MODEL"; fi
# The untrained model is made once, here, where its file can be written.
RUN gptloss loss --input "every effort moves you"

# Nothing of it belongs to who runs it; only /tmp has to be writable.
USER 65534:65534
EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8501/api/ready', timeout=5)"]
CMD ["gptloss", "serve", "--address", "0.0.0.0"]
