# The image of the worker and of the API (see docker-compose.yml). Debian 12 brings Python 3.11.
FROM node:20.19-bookworm-slim

RUN apt-get update \
  && apt-get install --yes --no-install-recommends ca-certificates openssh-client python3 python3-venv \
  && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/longhaul
COPY . .
RUN npm run setup && mkdir /data && chown node: /data

USER node
ENV DATA_DIR=/data
VOLUME /data
