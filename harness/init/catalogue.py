"""What many projects run and nobody builds: known by image, by name, or by port. One table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class Use(StrEnum):
    """What a service is there for."""

    DATABASE = "database"
    CACHE = "cache"
    QUEUE = "queue"
    SEARCH = "search engine"
    FILES = "file store"
    PROXY = "proxy"
    TOOL = "tool"


ROLES: Mapping[Use, str] = {
    Use.DATABASE: "db",
    Use.CACHE: "cache",
    Use.QUEUE: "queue",
    Use.SEARCH: "search",
    Use.FILES: "files",
    Use.PROXY: "lb",
}
"""The role of each use; a tool has none: it is protected."""
STORES = (Use.DATABASE, Use.CACHE, Use.QUEUE, Use.SEARCH, Use.FILES)
"""What keeps data: two of these are never interchangeable, whatever their images."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A product: its name, what it is used for, and what it is known by.

    images         names of its images, without registry and tag: the last part, or the last two
    ports          what it listens on as it comes; clients connect to the first
    survives_kill  SIGKILL costs it no acknowledged data, and it starts again within seconds
    reads_back     its image has the client that writes are read back with
    """

    name: str
    use: Use
    images: tuple[str, ...]
    ports: tuple[int, ...] = ()
    survives_kill: bool = False
    reads_back: bool = False


KINDS = (
    Kind("PostgreSQL", Use.DATABASE,
         ("postgres", "postgresql", "postgis", "timescaledb", "pgvector", "citus"), (5432,),
         survives_kill=True, reads_back=True),
    Kind("MySQL", Use.DATABASE, ("mysql", "mysql-server", "percona", "percona-server"),
         (3306, 33060), survives_kill=True, reads_back=True),
    Kind("MariaDB", Use.DATABASE, ("mariadb", "mariadb-galera"), (3306,),
         survives_kill=True, reads_back=True),
    Kind("MongoDB", Use.DATABASE,
         ("mongo", "mongodb", "mongodb-community-server", "percona-server-mongodb"),
         (27017,), survives_kill=True),
    Kind("CockroachDB", Use.DATABASE, ("cockroach",), (26257,), survives_kill=True),
    Kind("SQL Server", Use.DATABASE, ("mssql/server", "azure-sql-edge"), (1433,)),
    Kind("ClickHouse", Use.DATABASE, ("clickhouse", "clickhouse-server"), (8123, 9000)),
    Kind("Cassandra", Use.DATABASE, ("cassandra", "scylla"), (9042,)),
    Kind("CouchDB", Use.DATABASE, ("couchdb",), (5984,)),
    Kind("InfluxDB", Use.DATABASE, ("influxdb",), (8086,)),
    Kind("Neo4j", Use.DATABASE, ("neo4j",), (7687, 7474)),
    Kind("etcd", Use.DATABASE, ("etcd",), (2379, 2380)),
    Kind("ZooKeeper", Use.DATABASE, ("zookeeper", "cp-zookeeper"), (2181,)),
    Kind("Redis", Use.CACHE, ("redis", "redis-stack", "redis-stack-server"), (6379,)),
    Kind("Valkey", Use.CACHE, ("valkey",), (6379,)),
    Kind("KeyDB", Use.CACHE, ("keydb",), (6379,)),
    Kind("Dragonfly", Use.CACHE, ("dragonfly",), (6379,)),
    Kind("Memcached", Use.CACHE, ("memcached",), (11211,)),
    Kind("RabbitMQ", Use.QUEUE, ("rabbitmq",), (5672, 5671, 15672)),
    Kind("NATS", Use.QUEUE, ("nats", "nats-streaming"), (4222, 8222)),
    Kind("Kafka", Use.QUEUE, ("kafka", "cp-kafka", "kafka-native"), (9092, 29092)),
    Kind("Redpanda", Use.QUEUE, ("redpanda",), (9092, 9644)),
    Kind("ActiveMQ", Use.QUEUE, ("activemq", "activemq-classic", "activemq-artemis"),
         (61616, 8161)),
    Kind("Mosquitto", Use.QUEUE, ("eclipse-mosquitto", "mosquitto"), (1883,)),
    Kind("Beanstalkd", Use.QUEUE, ("beanstalkd",), (11300,)),
    Kind("Pulsar", Use.QUEUE, ("pulsar",), (6650,)),
    Kind("Elasticsearch", Use.SEARCH, ("elasticsearch",), (9200, 9300)),
    Kind("OpenSearch", Use.SEARCH, ("opensearch",), (9200, 9600)),
    Kind("Meilisearch", Use.SEARCH, ("meilisearch",), (7700,)),
    Kind("Typesense", Use.SEARCH, ("typesense",), (8108,)),
    Kind("Solr", Use.SEARCH, ("solr",), (8983,)),
    Kind("MinIO", Use.FILES, ("minio",), (9000, 9001)),
    Kind("nginx", Use.PROXY, ("nginx", "nginx-unprivileged", "openresty", "nginx-proxy")),
    Kind("Traefik", Use.PROXY, ("traefik",)),
    Kind("HAProxy", Use.PROXY, ("haproxy",)),
    Kind("Caddy", Use.PROXY, ("caddy", "caddy-docker-proxy")),
    Kind("Envoy", Use.PROXY, ("envoy",)),
    Kind("Varnish", Use.PROXY, ("varnish",)),
    Kind("Kong", Use.PROXY, ("kong", "kong-gateway")),
    Kind("a page for a database", Use.TOOL,
         ("adminer", "phpmyadmin", "pgadmin4", "pgweb", "mongo-express", "redis-commander",
          "redisinsight", "phpredisadmin", "kafka-ui", "kibana", "opensearch-dashboards")),
    Kind("a catcher of mail", Use.TOOL, ("mailhog", "mailpit", "maildev", "mailcatcher"),
         (1025, 8025)),
    Kind("monitoring", Use.TOOL,
         ("prometheus", "alertmanager", "pushgateway", "grafana", "grafana-oss", "loki", "promtail",
          "grafana/tempo", "jaeger", "jaegertracing/all-in-one", "zipkin",
          "opentelemetry-collector", "opentelemetry-collector-contrib", "cadvisor", "telegraf",
          "fluentd", "fluent-bit", "timberio/vector", "netdata", "datadog/agent")),
    Kind("a tool for containers", Use.TOOL,
         ("portainer", "portainer-ce", "watchtower", "dozzle", "autoheal", "docker-socket-proxy",
          "docker-gen")),
    Kind("Toxiproxy", Use.TOOL, ("toxiproxy",), (8474,)),
)  # fmt: skip
CALLED: Mapping[str, Kind] = {
    **dict.fromkeys(("db", "database"), Kind("a database", Use.DATABASE, ())),
    **dict.fromkeys(("cache",), Kind("a cache", Use.CACHE, ())),
    **dict.fromkeys(("queue", "broker"), Kind("a queue", Use.QUEUE, ())),
    **dict.fromkeys(
        ("lb", "proxy", "load-balancer", "reverse-proxy"), Kind("a proxy", Use.PROXY, ())
    ),
}
"""What services are called that somebody built himself."""
EXPORTER = Kind("an exporter of figures", Use.TOOL, ())
_EXPORTER = re.compile(r"[-_]exporter$")
_BY_IMAGE = {image: kind for kind in KINDS for image in kind.images}
_BY_PORT = {
    kind.ports[0]: kind for kind in reversed(KINDS) if kind.use in STORES and kind.ports
} | {3306: next(kind for kind in KINDS if kind.name == "MySQL")}
NOT_HTTP = frozenset(
    {
        *(21, 22, 25, 53, 110, 143, 389, 465, 587, 636, 993, 995),  # mail, shells, directories
        *(5005, 5678, 9229, 2345),  # debuggers: Java, Python, Node, Go
        *(1935, 5060, 8125, 50051),  # streams, telephones, StatsD, gRPC
        *(port for kind in KINDS if kind.use in STORES for port in kind.ports),
    }
) - {8123, 8086, 7474, 9000, 9001, 9600, 9644}
"""Ports that do not speak HTTP with clients, or not with those of a service.

Those taken out again are common for services of people's own, too."""


def image_name(image: str) -> str:
    """`registry:5000/owner/name:tag@digest` without registry, tag and digest; lower case."""
    path = image.lower().partition("@")[0]
    *folders, last = path.split("/")
    return "/".join([*folders[-1:], last.partition(":")[0]])


def kind_of_image(image: str) -> Kind | None:
    """The product in an image, by the last part of its name or the last two."""
    name = image_name(image)
    last = name.rpartition("/")[2]
    if _EXPORTER.search(last):
        return EXPORTER
    return _BY_IMAGE.get(name) or _BY_IMAGE.get(last)


def kind_of_name(service: str) -> Kind | None:
    """The product that a service is called after: what is built and named `redis` is one."""
    name = service.lower()
    return _BY_IMAGE.get(name) or CALLED.get(name)


def kind_of_port(port: int) -> Kind | None:
    """What listens on a port in nearly every project; only what keeps data is known so."""
    return _BY_PORT.get(port) if port in NOT_HTTP else None
