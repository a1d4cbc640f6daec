"""Compose projects in the shapes that people have; each by its files."""

from __future__ import annotations

NGINX_REDIS = {
    "compose.yaml": """
services:
  proxy:
    image: nginx:1.27-alpine
    ports: ["8080:80"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    depends_on: [web1, web2]
  web1: {build: ./web, environment: {REDIS_HOST: redis}, depends_on: [redis]}
  web2: {build: ./web, environment: {REDIS_HOST: redis}, depends_on: [redis]}
  redis: {image: "redis:7"}
""",
    "nginx.conf": "upstream app { server web1:3000; server web2:3000; }\n",
    "web/Dockerfile": "FROM scratch\n",
}
WORKER_QUEUE = {
    "docker-compose.yml": """
services:
  api:
    build: .
    ports: ["127.0.0.1:8000:8000"]
    environment: {DATABASE_URL: "postgresql://u:s3cr3t@db:5432/app", BROKER_URL: "amqp://queue"}
    depends_on:
      db: {condition: service_healthy}
      migrate: {condition: service_completed_successfully}
    healthcheck: {test: ["CMD", "curl", "-f", "http://localhost:8000/health"]}
  migrate: {build: ., command: ./migrate, environment: {DATABASE_URL: "postgresql://db:5432/app"}}
  worker:
    build: .
    command: python worker.py
    restart: unless-stopped
    environment: {DB_HOST: db, DB_PORT: 5432, BROKER_URL: "amqp://u:p@queue:5672//"}
  seed: {build: ., command: ./seed}
  db:
    image: "docker.io/library/postgres:16-alpine"
    volumes: ["data:/var/lib/postgresql/data"]
    healthcheck: {test: pg_isready}
  queue: {image: "rabbitmq:3-management", ports: ["15672:15672"]}
  adminer: {image: adminer, ports: ["8081:8080"]}
volumes: {data: {}}
""",
    "Dockerfile": "FROM scratch\n",
}
REPLICAS = {
    "docker-compose.yml": """
services:
  web:
    image: "shop/web:${TAG}"
    deploy: {replicas: 2}
    volumes: ["./settings:/settings:ro"]
    env_file: web.env
  cache: {image: memcached}
""",
    "docker-compose.override.yml": """
services:
  web: {ports: ["8080-8081:80"], environment: {CACHE_SERVERS: "cache:11211"}}
""",
    ".env": "TAG=3\nCOMPOSE_PROJECT_NAME=shop-two\n",
    "web.env": "A=b\n",
    "settings/x.conf": "",
}
DATABASE_ONLY = {"compose.yaml": 'services: {db: {image: "postgres:16", ports: ["5432:5432"]}}\n'}
TWO_PORTS = {
    "compose.yml": """
services:
  vote: {image: "vote:1", ports: ["5000:80"], depends_on: [redis]}
  result: {image: "result:1", ports: ["5001:80"], depends_on: [db]}
  redis: {image: "valkey/valkey:8"}
  db: {image: "postgres:15"}
"""
}
WORDPRESS = {
    "docker-compose.yaml": """
services:
  wordpress:
    image: wordpress:6
    container_name: my-blog
    ports: ["80:80", "443:443"]
    restart: always
    environment: {WORDPRESS_DB_HOST: "db:3306", WORDPRESS_DB_PASSWORD: s3cr3t}
  db: {image: "mariadb:11", restart: always, volumes: ["db:/var/lib/mysql"]}
  "on": {image: "shop/yes:1", expose: ["9000"], restart: always}
  debug: {image: "busybox", profiles: [debug]}
volumes: {db: {}}
"""
}
RANDOM_PORT = {
    "compose.yaml": """
services:
  web: {image: "web:1", ports: ["80"], depends_on: [db]}
  db: {image: "mysql:8", tmpfs: /var/lib/mysql}
"""
}
ALL = {
    "nginx-redis": (NGINX_REDIS, ()),
    "worker-queue": (WORKER_QUEUE, ()),
    "replicas": (REPLICAS, ()),
    "two-ports": (TWO_PORTS, ("--entry", "vote")),
    "wordpress": (WORDPRESS, ("--path", "/", "--path", "/blog/on", "--path", "/run")),
    "random-port": (RANDOM_PORT, ()),
}
