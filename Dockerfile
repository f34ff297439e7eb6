# Serves a model on a CPU: its page, and the endpoints of that page.
#
#   docker build --tag resnet-lstm .
#   docker run --publish 7860:7860 --volume "$PWD/runs/mine:/model:ro" resnet-lstm
#   docker run --publish 7860:7860 resnet-lstm user/model
FROM python:3.12-slim

WORKDIR /build
RUN pip install --no-cache-dir torch torchvision --index-url https://download.pytorch.org/whl/cpu
COPY pyproject.toml README.md LICENSE ./
COPY modeling modeling
COPY space space
RUN pip install --no-cache-dir '.[space]' && rm -rf /build/*

RUN useradd --create-home server
USER server
WORKDIR /home/server
ENV GRADIO_SERVER_NAME=0.0.0.0 GRADIO_ANALYTICS_ENABLED=False
EXPOSE 7860
ENTRYPOINT ["resnet-lstm", "space", "--port", "7860"]
CMD ["/model"]
