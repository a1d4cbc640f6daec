"""What scripts/generate_stack.py writes about the regions, as lines of each block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from harness.bundled.kinds import Part
from harness.bundled.regions import (
    PATRONI_ONLY,
    Region,
    distance_ms,
    link_port_to,
    peer_port,
    user_port,
)
from harness.bundled.table import TABLE, Table

Lines = list[str]


def of_region(part: Part) -> Lines:
    """A part of a region knows those of its region, and the others as its links do."""
    region, template = part.kind.region, part.kind.template
    shared, own = REGIONAL_SETTINGS.get(template, ("", lambda _: []))
    labels = [f"<<: *{template}-labels", f"harness.region: {region}"]
    if template == "region-lb":
        labels.append(f"harness.entry: {part.name}:8080")
    return [
        f"extra_hosts: *{region}-hosts",
        "environment:",
        f"  <<: {f'[*{region}-env, *{shared}]' if shared else f'*{region}-env'}",
        *(f"  {line}" for line in own(part)),
        "labels:",
        *(f"  {line}" for line in labels),
    ]


def _region_app(part: Part) -> Lines:
    return ["DB_NODES: *all-nodes", f"SERVER_NAME: {part.name}"]


def _region_db(part: Part) -> Lines:
    region, name = part.kind.region, part.name
    return [
        f"PATRONI_SCOPE: ${{COMPOSE_PROJECT_NAME}}-{region}",
        f"PATRONI_NAME: {name}",
        f"PATRONI_RESTAPI_CONNECT_ADDRESS: {name}:8008",
        f"PATRONI_POSTGRESQL_CONNECT_ADDRESS: {name}:5432",
        f"PATRONI_RESTAPI_ALLOWLIST: \"['127.0.0.1', '{name}', '{region}-keeper']\"",
        f"PATRONI_ETCD3_HOSTS: \"'{region}-geo:2379'\"",
    ]


def _region_geo(part: Part) -> Lines:
    region = next(each for each in TABLE.regions if each.name == part.kind.region)
    return [
        f"ETCD_NAME: {part.name}",
        f"ETCD_LISTEN_PEER_URLS: http://0.0.0.0:{peer_port(region)}",
        f"ETCD_INITIAL_ADVERTISE_PEER_URLS: http://{part.name}:{peer_port(region)}",
        f"ETCD_ADVERTISE_CLIENT_URLS: http://{part.name}:2379",
    ]


def _region_keeper(part: Part) -> Lines:
    region = part.kind.region
    is_first = region == TABLE.regions[0].name
    nodes = [node.name for node in TABLE.db.parts()] if is_first else [f"{region}-db"]
    return [
        f"GEO_ETCD: http://{region}-geo:2379",
        f"PATRONI_URLS: {' '.join(f'http://{node}:8008' for node in nodes)}",
    ]


REGIONAL_SETTINGS: Mapping[str, tuple[str, Callable[[Part], Lines]]] = {
    "region-app": ("", _region_app),
    "region-worker": ("", _region_app),
    "region-db": ("", _region_db),
    "region-db-lb": ("db-lb-env", lambda _: []),
    "region-geo": ("geo-env", _region_geo),
    "region-keeper": ("keeper-env", _region_keeper),
}
"""What all of them share of the environment, and what each has of its own."""


def regions_blocks(table: Table) -> dict[str, Lines]:
    """What each region adds, what is between them, and who tells users where to go."""
    names = " ".join(region.name for region in table.regions)
    sources = " ".join(f"{r.name}=distances:{link_port_to(r, 'log')}" for r in table.regions)
    members = ",".join(f"{r.name}-geo=http://{r.name}-geo:{peer_port(r)}" for r in table.regions)
    return {
        "hosts": [line for region in table.regions for line in _hosts(table, region)],
        "routes": [line for region in table.regions for line in _routes(region, table)],
        "all nodes": [f"x-all-nodes: &all-nodes {_all_nodes(table)}"],
        "geo members": [f"ETCD_INITIAL_CLUSTER: {members}"],
        "regions": [f"REGIONS: {names}", f"STANDBY_SOURCES: {sources}"],
        "distances": _of_distances(table),
    }


def _hosts(table: Table, region: Region) -> Lines:
    """Who is where, as seen in a region: etcd members and archives of others: `distances`."""
    away = [each for each in table.regions if each is not region]
    others = [f"{each.name}-geo" for each in away]
    others += [each.archive.partition(":")[0] for each in away if each.archive]
    at = table.distances.parts()[0].address(region.network)
    return [
        f"x-{region.name}-hosts: &{region.name}-hosts",
        *(f"  {part.name}: {part.address(region.network)}" for part in table.on(region.network)),
        *(f"  {name}: {at}" for name in others),
    ]


def _routes(region: Region, table: Table) -> Lines:
    """The environment of a region's parts: where each region's keeper and primary are for it."""
    lines = [f"x-{region.name}-env: &{region.name}-env", f"  REGION: {region.name}"]
    return lines + [f"  {line}" for line in _route(region, table)]


def _route(region: Region, table: Table) -> Lines:
    own_database = f"127.0.0.1:{PATRONI_ONLY}"
    lines = []
    for other in table.regions:
        is_own = other is region
        database = own_database if is_own else f"distances:{link_port_to(other, 'db')}"
        keeper = f"{other.name}-keeper:8010"
        if not is_own:
            keeper = f"distances:{link_port_to(other, 'keeper')}"
        lines += [f"{other.name.upper()}_DB: {database}", f"{other.name.upper()}_KEEPER: {keeper}"]
    return lines


def _all_nodes(table: Table) -> str:
    """Every database node by its address, as an app server knows them."""
    kinds = [table.db, *(k for k in table.regional_kinds() if k.template == "region-db")]
    nodes = [(p, network) for kind in kinds for network in kind.addresses for p in kind.parts()]
    return ",".join(f"{part.name}={part.address(network)}" for part, network in nodes)


def _of_distances(table: Table) -> Lines:
    """It knows every region's parts; users of a place have one port, on the address of each."""
    [distances] = table.distances.parts()
    apart = [region for region in table.regions if region.first_address]
    api = next(f"127.0.0.1:${{{name}}}:{inside}" for name, _, inside in distances.published())
    neighbours = [
        f"net.ipv4.neigh.eth{number}.{setting}"
        for number in range(len(distances.kind.addresses))
        for setting in NEIGHBOUR_SETTINGS
    ]
    return [
        "x-distances-hosts: &distances-hosts",
        *(
            f"  {part.name}: {part.address(region.network)}"
            for region in apart
            for part in table.on(region.network)
            if part != distances
        ),
        *(f"  {r.inside}: {distances.address(r.network)}" for r in table.regions),
        "x-distances-ports: &distances-ports",
        f'  - "{api}"',
        *(
            f'  - "{region.loopback}:${{{users.port_variable}}}:{user_port(users, region)}"'
            for users in table.regions
            for region in table.regions
        ),
        "x-distances-neighbours: &distances-neighbours",
        *(f"  {line}" for line in neighbours),
    ]


NEIGHBOUR_SETTINGS = (
    "retrans_time_ms: 4",
    "ucast_solicit: 1",
    "mcast_solicit: 2",
    "base_reachable_time_ms: 500",
    "delay_first_probe_time: 0",
)
"""Why: see target/toxiproxy/compose.yaml."""


def joined(table: Table) -> Lines:
    """What the services of us are told where there are other regions."""
    kinds = (table.edge, table.lb, table.app, table.worker, table.redis, table.db_lb, table.db)
    parts = [part for kind in (*kinds, table.etcd) for part in kind.parts()]
    return [line for part in parts for line in _joined_part(part, table)]


def _joined_part(part: Part, table: Table) -> Lines:
    us = table.regions[0]
    lines = [f"{part.name}:", f"  labels: {{harness.region: {us.name}}}"]
    match part.kind.name:
        case "db-lb":
            lines += ["  <<: *write-route", "  environment:", f'    RW_PORT: "{PATRONI_ONLY}"']
            lines += [f"    {line}" for line in _route(us, table)]
        case "app" | "worker":
            lines.append(f'  environment: {{DB_NODES: "{_all_nodes(table)}"}}')
        case "db":
            names = [
                "127.0.0.1",
                *(node.name for node in table.db.parts()),
                f"{us.name}-keeper",
            ]
            allowed = ", ".join(f"'{name}'" for name in names)
            lines.append("  <<: *database")
            lines.append(f'  environment: {{PATRONI_RESTAPI_ALLOWLIST: "[{allowed}]"}}')
    return lines


def archived(table: Table) -> Lines:
    """Every database node knows the archive: those of us as in archiving.yaml."""
    where = next(region for region in table.regions if region.archive)
    lines = [line for node in table.db.parts() for line in (f"{node.name}:", "  <<: *joined")]
    for region in (each for each in table.regions if each.first_address):
        lines += [
            f"{region.name}-db:",
            "  <<: *region",
            "  environment:",
            "    <<: *region-env",
            f'    S3_PORT: "{link_port_to(where, "s3")}"',
        ]
    return lines


def networks(table: Table) -> Lines:
    """That of each region beside us."""
    found = [(region.network, region.first_address) for region in table.regions]
    return [
        line
        for name, first in found
        if first
        for line in (
            f"{name}:",
            f'  ipam: {{config: [{{subnet: "${{HARNESS_SUBNET}}.{first}/28"}}]}}',
        )
    ]


def name_server(table: Table) -> dict[str, Lines]:
    """Who asks from where is sent to the nearest region that serves."""
    regions = table.regions
    centres = ", ".join(region.name for region in regions)
    addresses = ", ".join(f"{region.name} => {region.loopback}" for region in regions)
    return {
        "regions": [f"datacenters => [{centres}]", "nets => {", *_nets(regions), "}"],
        "addresses": [f"dcmap => {{ {addresses} }}"],
    }


def _nets(regions: Sequence[Region]) -> Lines:
    lines = []
    for users in regions:
        nearest = sorted(regions, key=lambda region: distance_ms(users, region))
        lines.append(f"  {users.users} => [{', '.join(region.name for region in nearest)}]")
    return lines


def write_route(table: Table) -> dict[str, Lines]:
    """Every region by its keeper and by its primary; the environment says where they are."""
    names = [region.name for region in table.regions]
    return {
        "keepers": [f'server {name} "${{{name.upper()}_KEEPER}}" check' for name in names],
        "regions": [
            f'server {name} "${{{name.upper()}_DB}}" track keepers/{name}' for name in names
        ],
    }


def region_lb(table: Table) -> dict[str, Lines]:
    """As those of us, without links in between."""
    kind = next(kind for kind in table.regional_kinds() if kind.template == "region-app")
    numbers = [part.number for part in kind.parts()]
    at = {number: f'"${{REGION}}-app-{number}:8000"' for number in numbers}
    return {
        "read servers": [f'server "${{REGION}}-app-{n}" {at[n]} check' for n in numbers],
        "write servers": [
            f'server "${{REGION}}-app-{n}" {at[n]} track "read/${{REGION}}-app-{n}"'
            for n in numbers
        ],
        "last resort": [f"server any-{n} {at[n]}" for n in numbers],
    }


def distances_table(table: Table) -> Lines:
    """How long a round trip takes, in ms, for the document."""
    regions = table.regions
    header = "| users of | " + " | ".join(f"region {region.name}" for region in regions) + " |"
    rows = [
        f"| {users.name} | " + " | ".join(str(distance_ms(users, r)) for r in regions) + " |"
        for users in regions
    ]
    return [header, "|---|" + "---:|" * len(regions), *rows]
