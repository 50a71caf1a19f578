# The gateway as an image: one binary on a small Debian, as a user without rights.
#
#     docker build -t filmgate .
#     docker run -p 8080:8080 -v filmgate:/var/lib/filmgate -v ./policy:/etc/filmgate filmgate
#
# Both images can be replaced, for instance by copies in a registry of one's own.
ARG BUILD_IMAGE=rust:1.95-slim-bookworm
ARG RUN_IMAGE=debian:bookworm-slim

# hadolint ignore=DL3006
FROM ${BUILD_IMAGE} AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin filmgate \
 && install -D target/release/filmgate /out/usr/local/bin/filmgate \
 && install -D --mode=644 gateway.toml /out/etc/filmgate/gateway.toml \
 && install -d --owner=10001 --group=10001 --mode=750 /out/var/lib/filmgate

# hadolint ignore=DL3006
FROM ${RUN_IMAGE}
COPY --from=build /out/ /
USER 10001:10001
# Relative paths of the policy, such as the database's, start here.
WORKDIR /var/lib/filmgate
VOLUME ["/var/lib/filmgate"]
# Clients connect to the first, operators to the second: publish that one only where they are.
EXPOSE 8080 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["filmgate", "healthcheck"]
ENTRYPOINT ["filmgate"]
# The shipped policy listens on this machine only; a container's door is the container's.
CMD ["serve", "--config", "/etc/filmgate/gateway.toml", "--listen", "0.0.0.0:8080", "--admin", "0.0.0.0:9090"]
