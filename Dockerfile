# The image: one static binary on distroless-static, about 27 MB, 12 MB compressed, as uid 65532.
#
#   docker build -t wxkf-gateway .                          for this machine
#   docker buildx build --platform linux/amd64,linux/arm64 . for both, cross-compiled: no emulation
#
# Written in what every builder knows, so without here-documents, COPY --link and RUN --network.

ARG RUST_IMAGE=docker.io/library/rust:1.95-bookworm
ARG BASE_IMAGE=gcr.io/distroless/static-debian12:nonroot

FROM --platform=$BUILDPLATFORM $RUST_IMAGE AS build
ARG TARGETARCH
# clang compiles the C parts (SQLite, the allocator, the TLS primitives) for any target; Rust brings musl itself and a linker.
RUN dpkg --add-architecture "$TARGETARCH" \
    && apt-get update \
    && apt-get install -y --no-install-recommends clang llvm "musl-dev:$TARGETARCH" \
    && rm -rf /var/lib/apt/lists/*
COPY packaging/build-static /usr/local/bin/build-static
RUN build-static "$TARGETARCH" prepare
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY openapi/openapi.json openapi/openapi.json
ARG SOURCE_DATE_EPOCH=0
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/src/target \
    build-static "$TARGETARCH" build /out/wxkf-gateway && mkdir -m 0700 /out/data

FROM $BASE_IMAGE
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="wxkf-gateway" \
      org.opencontainers.image.description="The manager gateway between WeCom customer service and its bots" \
      org.opencontainers.image.source="https://github.com/wxkf-gateway/wxkf-gateway" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build --chown=65532:65532 /out/data /data
COPY --from=build /out/wxkf-gateway /usr/local/bin/wxkf-gateway
ENV DATA_DIR=/data
USER 65532:65532
WORKDIR /
EXPOSE 7777
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["/usr/local/bin/wxkf-gateway", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/wxkf-gateway"]
CMD ["serve"]
