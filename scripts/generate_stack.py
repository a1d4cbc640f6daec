"""Writes the numbered parts of the bundled stack's files out of harness/bundled/table.py.

`python scripts/generate_stack.py` writes them; with `--check` it only names those that are not
current. In a file it owns what stands between `# >>> NAME` and `# <<< NAME`, nothing else;
the lists of links, and the configurations of the regions' load balancers, it owns as a whole.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path

from generate_regions import (
    Lines,
    archived,
    distances_table,
    joined,
    name_server,
    networks,
    of_region,
    region_lb,
    regions_blocks,
    write_route,
)

from harness.bundled.kinds import Kind, Link, Part
from harness.bundled.regions import link_port_to
from harness.bundled.table import (
    DEPENDENCIES,
    TABLE,
    Table,
    link_number,
    link_port,
    port_prefix,
)

ROOT = Path(__file__).resolve().parents[1]
PROXIES, DISTANCES = "target/toxiproxy/proxies.json", "target/toxiproxy/distances.json"
STANDING = "target/toxiproxy/distances"
OWN_DATABASE = 'server "${REGION}-db" "${REGION}-db:5432" check'


def generate(root: Path, table: Table = TABLE) -> dict[str, str]:
    """The text of each file that has generated parts, by its path in the project.

    What is hand-written in them is read from `root`. ValueError if a block has no place.
    """
    files = {
        path: _with_blocks(_text(root, path), path, blocks)
        for path, blocks in _blocks(table).items()
    }
    return {
        **files,
        PROXIES: _proxies(table.links()),
        DISTANCES: _proxies(table.distant_links()),
        STANDING: "".join(f"{e.name} {e.distance_ms}\n" for e in table.distant_links()),
        **_load_balancers_of_regions(root, table),
    }


def _load_balancers_of_regions(root: Path, table: Table) -> dict[str, str]:
    """As those of us, but for their servers."""
    servers = {"lb": region_lb(table), "db-lb": {"databases": [OWN_DATABASE]}}
    return {
        f"target/lb/region-{name}.cfg": _with_blocks(
            _text(root, f"target/lb/{name}.cfg"), f"target/lb/{name}.cfg", blocks
        )
        for name, blocks in servers.items()
    }


def _text(root: Path, path: str) -> str:
    return (root / path).read_text(encoding="utf-8")


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write the files below `root`."""
    for path, text in files.items():
        (root / path).write_text(text, encoding="utf-8")


def _with_blocks(text: str, path: str, blocks: Mapping[str, Lines]) -> str:
    if set(re.findall(r"(?m)^ *(?:<!-- )?# >>> (.*?)(?: -->)?$", text)) != blocks.keys():
        raise ValueError(f"{path}: wanted are places for: {', '.join(blocks)}")
    for name, lines in blocks.items():
        place = re.compile(
            rf"^(?P<start>(?P<indent> *)(?:<!-- )?# >>> {name}(?: -->)?\n)(?:.*\n)*?"
            rf"(?P<end>(?P=indent)(?:<!-- )?# <<< {name}(?: -->)?\n)",
            re.MULTILINE,
        )
        if not place.search(text):
            raise ValueError(f"{path}: `# >>> {name}` has no end, `# <<< {name}`")
        text = place.sub(partial(_block, lines), text)
    return text


def _block(lines: Iterable[str], found: re.Match[str]) -> str:
    indented = "".join(f"{found['indent']}{line}".rstrip() + "\n" for line in lines)
    return f"{found['start']}{indented}{found['end']}"


def _blocks(table: Table) -> dict[str, dict[str, Lines]]:
    """What is generated, by file and place in it."""
    return {**_blocks_of_core(table), **_blocks_of_regions(table), **_blocks_of_watchers(table)}


def _blocks_of_core(table: Table) -> dict[str, dict[str, Lines]]:
    etcds = [part.name for part in table.etcd.parts()]
    return {
        "docker-compose.yml": {"regions": networks(table)},
        "target/base.yaml": {
            "data hosts": [f"{p.name}: {p.address('data')}" for p in table.on("data")],
            "front hosts": [f"{p.name}: {p.address('front')}" for p in table.on("front")],
        },
        "target/edge/compose.yaml": {"services": _services(table.edge)},
        "target/edge/edge.vcl": _edge(table),
        "target/lb/compose.yaml": {"services": _services(table.lb)},
        "target/lb/lb.cfg": _load_balancer(table),
        "target/lb/db-lb.cfg": {
            "databases": [f"server {p.name} {p.name}:5432 check" for p in table.db.parts()]
        },
        "target/shortener/compose.yaml": {
            "database nodes": [
                "DB_NODES: " + ",".join(f"{p.name}={p.address('data')}" for p in table.db.parts())
            ],
            "services": _services(table.app, table.worker),
        },
        "target/shortener/app.env": {"links": _addresses()},
        "target/cache/compose.yaml": {"services": _services(table.redis)},
        "target/database/compose.yaml": _database(table),
        "target/database/patroni.yml": {
            "etcd members": [f"hosts: [{', '.join(f'{name}:2379' for name in etcds)}]"]
        },
        "target/toxiproxy/compose.yaml": {"services": _services(table.toxiproxy)},
    }


def _blocks_of_regions(table: Table) -> dict[str, dict[str, Lines]]:
    return {
        "target/database/regions/region.yml": {
            "us": [f"port: {link_port_to(table.regions[0], 'log')}"]
        },
        "target/lb/write-route.cfg": write_route(table),
        "target/regions/compose.yaml": _regions(table),
        "target/regions/joined.yaml": {"services": joined(table)},
        "target/regions/archived.yaml": {"services": archived(table)},
        "target/regions/dns/config": name_server(table),
        "docs/REGIONS.md": {"distances": distances_table(table)},
    }


def _blocks_of_watchers(table: Table) -> dict[str, dict[str, Lines]]:
    """Of monitoring, traces, logs and backups."""
    return {
        "target/monitoring/compose.yaml": {
            "database nodes": ["DB_HOSTS: " + " ".join(part.name for part in table.db.parts())],
            "services": _services(*_observers(table)),
        },
        "target/traces/compose.yaml": {"services": _services(table.zipkin)},
        "target/logs/compose.yaml": _logs(table),
        "target/logs/through-collector.yaml": {"services": _collected(table)},
        "target/recovery/compose.yaml": _recovery(table),
        "target/recovery/archiving.yaml": {"services": _archiving(table)},
        "target/monitoring/prometheus.yml": {"targets": _scraped(table)},
        "target/monitoring/alertmanager.yml": {"receivers": _receivers(table)},
    }


def _services(*kinds: Kind) -> Lines:
    return [line for kind in kinds for part in kind.parts() for line in _service(part)]


def _service(part: Part) -> Lines:
    kind = part.kind
    lines = [f"{part.name}:", f"  <<: *{kind.template}{'-standby' if part.is_standby else ''}"]
    if part.number == 1 and _builds(kind):
        lines.append(f"  build: *{kind.template}-build")
    lines += [f"  {line}" for line in _own_settings(part)]
    if len(kind.addresses) == 1:
        [network] = kind.addresses
        lines.append(f'  networks: {{{network}: {{ipv4_address: "{part.address(network)}"}}}}')
    else:
        lines.append("  networks:")
        lines += [f'    {n}: {{ipv4_address: "{part.address(n)}"}}' for n in kind.addresses]
    ports = [f'"127.0.0.1:${{{name}}}:{inside}"' for name, _, inside in part.published()]
    if ports and kind.name not in PUBLISHES_MORE:
        lines.append(f"  ports: [{', '.join(ports)}]")
    if place := KEEPS_DATA_IN.get(kind.template):
        lines.append(f'  volumes: ["{part.name}:{place}"]')
    return lines


def _builds(kind: Kind) -> bool:
    """Whether its first part builds the image; of what several regions have, that of the first."""
    alike = [each.region for each in TABLE.regional_kinds() if each.template == kind.template]
    return kind.template not in RUNS_THE_IMAGE_OF and kind.region in ("", *alike[:1])


PUBLISHES_MORE = ("distances", "dns")
RUNS_THE_IMAGE_OF = {
    "distances": "toxiproxy",
    "region-lb": "lb",
    "region-db-lb": "lb",
    "region-app": "app",
    "region-worker": "app",
    "region-redis": "redis",
    "region-geo": "etcd",
    "worker": "app",
    "db-lb": "lb",
    "backup": "db",
    "drill": "db",
    **dict.fromkeys(
        ("alertmanager", "pager", "redis-exporter", "postgres-exporter"),
        "prometheus",
    ),
}
KEEPS_DATA_IN = {
    "region-db": "/var/lib/postgresql",
    "region-geo": "/var/lib/etcd",
    "db": "/var/lib/postgresql",
    "etcd": "/var/lib/etcd",
    "log-store": "/data",
    "log-collector": "/queue",
}


def _own_settings(part: Part) -> Lines:
    """What only this part is told, beside its addresses and ports."""
    if part.kind.region:
        return of_region(part)
    settings = OWN_SETTINGS.get(part.kind.name)
    return settings(part) if settings else []


def _of_app(part: Part) -> Lines:
    own = f'SERVER_NAME: {part.name}, SERVER_NUMBER: "{link_number(part)}"'
    return [f"environment: {{<<: *app-env, {own}}}"]


def _of_lb(part: Part) -> Lines:
    return [f'environment: {{TOXIPROXY_PORT_PREFIX: "{port_prefix("211", part)}"}}']


def _of_toxiproxy(part: Part) -> Lines:
    host = part.address("control")
    metrics = '"-proxy-metrics", "-runtime-metrics"'
    return [f'command: ["-host", "{host}", "-port", "8474", {metrics}]']


def _of_db(part: Part) -> Lines:
    name = part.name
    return [
        "environment:",
        "  <<: *db-env",
        f"  PATRONI_NAME: {name}",
        f"  PATRONI_RESTAPI_CONNECT_ADDRESS: {name}:8008",
        f"  PATRONI_POSTGRESQL_CONNECT_ADDRESS: {name}:5432",
    ]


def _of_etcd(part: Part) -> Lines:
    name = part.name
    return [
        "environment:",
        "  <<: *etcd-env",
        f"  ETCD_NAME: {name}",
        f"  ETCD_INITIAL_ADVERTISE_PEER_URLS: http://{name}:2380",
        f"  ETCD_ADVERTISE_CLIENT_URLS: http://{name}:2379",
    ]


def _of_distances(_: Part) -> Lines:
    return ["extra_hosts: *distances-hosts", "ports: *distances-ports"]


def _of_dns(_: Part) -> Lines:
    address = "127.0.0.1:${HARNESS_PORT_DNS}:5300"
    return [f'ports: ["{address}", "{address}/udp"]']


OWN_SETTINGS: Mapping[str, Callable[[Part], Lines]] = {
    "app": _of_app,
    "worker": _of_app,
    "lb": _of_lb,
    "toxiproxy": _of_toxiproxy,
    "db": _of_db,
    "etcd": _of_etcd,
    "distances": _of_distances,
    "dns": _of_dns,
}


def _observers(table: Table) -> tuple[Kind, ...]:
    exporters = (table.redis_exporter, table.postgres_exporter)
    return (table.prometheus, table.alertmanager, table.pager, *exporters)


def _receivers(table: Table) -> Lines:
    """The pager, by the link that Alertmanager has to it."""
    [alertmanager] = table.alertmanager.parts()
    address = f"http://toxiproxy:{link_port(alertmanager, 'pager')}"
    return [
        "- name: pager",
        f'  webhook_configs: [{{url: "{address}/alerts", send_resolved: true}}]',
        "- name: heartbeat",
        f'  webhook_configs: [{{url: "{address}/heartbeat", send_resolved: false}}]',
    ]


def _scraped(table: Table) -> Lines:
    """What Prometheus scrapes: `part` is what the metrics are about, whoever gives them."""
    own = {
        "edge": (table.edge, 9131),
        "app": (table.app, 8000),
        "worker": (table.worker, 9100),
        "lb": (table.lb, 8404),
        "db-lb": (table.db_lb, 8404),
        "db": (table.db, 8008),
        "etcd": (table.etcd, 2379),
        "prometheus": (table.prometheus, 9090),
        "alertmanager": (table.alertmanager, 9093),
        "pager": (table.pager, 9095),
        "backup": (table.backup, 8011),
    }
    lines = []
    for job, (kind, port) in own.items():
        targets = [(f"{part.name}:{port}", part.name, _may_be_away(part)) for part in kind.parts()]
        lines += _job(job, targets)
    lines += _job("keeper", _keepers(table))
    return lines + _job("redis", [("redis-exporter:9121", "redis", "")])


def _keepers(table: Table) -> Iterator[tuple[str, str, str]]:
    """That of us, where Prometheus is, and the others by the links that us has to them."""
    for region in table.regions:
        name, port = f"{region.name}-keeper", link_port_to(region, "keeper")
        address = f"distances:{port}" if region.first_address else f"{name}:8010"
        yield address, name, "with: regions"


def _may_be_away(part: Part) -> str:
    """The label by which the rules know that, "" for a part that may not."""
    if part.kind.name == "backup":
        return "with: archiving"
    return 'standby: "true"' if part.is_standby else ""


SCRAPED_WITH = {
    # HAProxy has 1,000 metrics a process, most of them of servers; etcd 1,400, most of its clients.
    **{job: ["  params: {scope: [global, frontend, backend]}"] for job in ("lb", "db-lb")},
    "etcd": [
        "  metric_relabel_configs:",
        "    - {source_labels: [__name__], regex: '(etcd_(server|disk)|process)_.*', action: keep}",
    ],
}


def _job(name: str, targets: Iterable[tuple[str, str, str]]) -> Lines:
    lines = [f"- job_name: {name}", *SCRAPED_WITH.get(name, ()), "  static_configs:"]
    for address, part, more in targets:
        labels = ", ".join(filter(None, (f"part: {part}", more)))
        lines.append(f'    - {{targets: ["{address}"], labels: {{{labels}}}}}')
    return lines


def _database(table: Table) -> dict[str, Lines]:
    etcds = [part.name for part in table.etcd.parts()]
    allowed = ", ".join(["'127.0.0.1'", *(f"'{part.name}'" for part in table.db.parts())])
    return {
        "etcd members": [
            "ETCD_INITIAL_CLUSTER: " + ",".join(f"{name}=http://{name}:2380" for name in etcds)
        ],
        "database nodes": [f'PATRONI_RESTAPI_ALLOWLIST: "[{allowed}]"'],
        "services": _services(table.db_lb, table.db, table.etcd),
        "volumes": _volumes(table.db, table.etcd),
    }


def _logs(table: Table) -> dict[str, Lines]:
    """Where all lines end, and the way there."""
    kinds = (table.log_store, table.log_collector)
    return {"services": _services(*kinds), "volumes": _volumes(*kinds)}


def _regions(table: Table) -> dict[str, Lines]:
    """What is in each region, between them, and before them."""
    kinds = table.regional_kinds()
    return {
        **regions_blocks(table),
        "services": _services(table.distances, table.dns, *kinds),
        "volumes": _volumes(*(kind for kind in kinds if kind.template in KEEPS_DATA_IN)),
    }


def _recovery(table: Table) -> dict[str, Lines]:
    """Where the backups are kept, what takes them, and a place to try them."""
    nodes, [backup], [drill] = table.db.parts(), table.backup.parts(), table.drill.parts()
    etcds = " ".join(f"{part.name}:2379" for part in table.etcd.parts())
    return {
        "nodes": [
            f"DATABASE_NODES: {' '.join(node.name for node in nodes)}",
            f"ETCD_HOSTS: {etcds}",
        ],
        "nodes by path": [
            f'S3_PORT: "{link_port(backup, "s3")}"',
            *(f"PGBACKREST_PG{node.number}_PATH: /db/{node.name}/data" for node in nodes),
            *(f"PGBACKREST_PG{node.number}_SOCKET_PATH: /db/{node.name}" for node in nodes),
        ],
        "volumes of nodes": [f"- {node.name}:/db/{node.name}" for node in nodes],
        "link": [f'S3_PORT: "{link_port(drill, "s3")}"'],
        "services": _services(table.s3, table.backup, table.drill),
    }


def _archiving(table: Table) -> Lines:
    """Each node archives by a link of its own, and has its data at a path of its own."""
    lines = []
    for node in table.db.parts():
        data = f"/db/{node.name}/data"
        lines += [
            f"{node.name}:",
            "  <<: *archiving",
            "  environment:",
            f'    S3_PORT: "{link_port(node, "s3")}"',
            f"    PATRONI_POSTGRESQL_DATA_DIR: {data}",
            f"    PGBACKREST_PG1_PATH: {data}",
            f'  volumes: ["s3-tls:/etc/s3:ro", "{node.name}:/db/{node.name}"]',
        ]
    return lines


def _collected(table: Table) -> Lines:
    """All services but those that keep the lines."""
    own = (table.log_store, table.log_collector)
    names = [part.name for part in table.parts() if part.kind not in own]
    return [f"{name}: *through-collector" for name in ("migrate", *names)]


def _volumes(*kinds: Kind) -> Lines:
    """What keeps the data of each of their parts."""
    return [f"{part.name}:" for kind in kinds for part in kind.parts()]


def _load_balancer(table: Table) -> dict[str, Lines]:
    """Each load balancer has links of its own, and finds them by the prefix of their ports."""
    apps = table.app.parts()
    servers = [(a, f'"toxiproxy:${{TOXIPROXY_PORT_PREFIX}}{a.number:02d}"') for a in apps]
    return {
        "read servers": [
            f"server {app.name} {at} check"
            + (" downinter 2s   # standby" if app.is_standby else "")
            for app, at in servers
        ],
        "write servers": [f"server {a.name} {at} track read/{a.name}" for a, at in servers],
        "last resort": [f"server any-{a.number} {at}" for a, at in servers if not a.is_standby],
    }


def _edge(table: Table) -> dict[str, Lines]:
    """Varnish knows the first edge's links; its backends are the load balancers."""
    first = table.edge.parts()[0]
    names = [part.name.replace("-", "_") for part in table.lb.parts()]
    backends, directors = [], ["new either = directors.round_robin();"]
    for number, name in enumerate(names, start=1):
        backends += [
            f"backend {name} {{",
            '    .host = "toxiproxy";',
            f'    .port = "{port_prefix("201", first)}{number:02d}";',
            "    .connect_timeout = 0.5s;",
            "    .max_connections = 128;     # beyond it another load balancer is asked at once",
            "    .probe = lb_alive;",
            "}",
        ]
        directors.append(f"either.add_backend({name});")
    for number, name in enumerate(names):
        directors.append(f"new {name}_first = directors.fallback();")
        in_turn = [*names[number:], *names[:number]]
        directors += [f"{name}_first.add_backend({each});" for each in in_turn]
    choice = []
    for failed, following in pairwise(names):
        choice.append(f'}} elsif (bereq.http.X-Failed == "{failed}") {{')
        choice.append(f"    set bereq.backend = {following}_first.backend();")
    choice += ["} else {", f"    set bereq.backend = {names[0]}_first.backend();", "}"]
    return {"backends": backends, "directors": directors, "next one": choice}


def _addresses() -> Lines:
    """The app's settings; `SERVER_NUMBER` are the last two digits of the ports."""
    at = {
        name: f"toxiproxy:{prefix}${{SERVER_NUMBER}}" for name, (prefix, _) in DEPENDENCIES.items()
    }
    return [
        f"REDIS_URL=redis://:${{REDIS_PASSWORD}}@{at['redis']}/0",
        f"DB_RW_DSN=postgresql://app:${{APP_PASSWORD}}@{at['db-rw']}/app",
        f"DB_RO_DSN=postgresql://app:${{APP_PASSWORD}}@{at['db-ro']}/app",
    ]


def _proxies(links: Iterable[Link]) -> str:
    rows = [
        {
            "name": link.name,
            "listen": f"{link.host or '0.0.0.0'}:{link.port}",
            "upstream": link.upstream,
            "enabled": True,
        }
        for link in links
    ]
    return "[\n" + ",\n".join(f"  {json.dumps(row)}" for row in rows) + "\n]\n"


def main() -> int:
    """0, or 1 if --check finds a file out of date."""
    files = generate(ROOT)
    if "--check" not in sys.argv:
        write(ROOT, files)
        return 0
    old = [p for p in files if (ROOT / p).read_text(encoding="utf-8") != files[p]]
    for path in old:
        sys.stdout.write(f"{path} is not current; run: python scripts/generate_stack.py\n")
    return int(bool(old))


if __name__ == "__main__":
    sys.exit(main())
