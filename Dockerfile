# Serves a saved model:
#   docker build -t trimetric .
#   docker run -p 8000:8000 -v "$PWD/m:/model:ro" -e TRIMETRIC_API_KEY=... trimetric
FROM python:3.12.11-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src ./src
RUN python -m venv /opt/trimetric \
    && /opt/trimetric/bin/pip install --no-cache-dir ".[serve]"

FROM python:3.12.11-slim-bookworm
COPY --from=build /opt/trimetric /opt/trimetric
# Compiled kernels are kept here; mount a volume on it and later starts are quicker.
RUN useradd --create-home --uid 10001 trimetric \
    && mkdir /model /cache \
    && chown trimetric /cache
ENV PATH=/opt/trimetric/bin:$PATH \
    NUMBA_CACHE_DIR=/cache \
    PYTHONUNBUFFERED=1
USER 10001
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=2)"]
ENTRYPOINT ["trimetric", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["/model"]
