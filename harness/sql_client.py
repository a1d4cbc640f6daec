"""A query, asked by the database's own client in the database's container; read-only.

PostgreSQL, MySQL or MariaDB, whichever client the container has. User, database and password are
those that the official images name in its environment, unless they are given. The password stays
in the container. A fault on rows also changes them, by psql, in one transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

EXIT, NOTE = "! exit ", "! "
_FUNCTIONS = r"""
value() { eval "found=\${$1:-} file=\${$1_FILE:-}"
  if [ -z "$found" ] && [ -r "$file" ]; then found=$(cat "$file"); fi
  printf %s "$found"; }
first() { for name in "$@"; do
  found=$(value "$name"); if [ -n "$found" ]; then printf %s "$found"; return; fi; done; }
secret() { case $1 in /*) cat "$1" ;; *) value "$1" ;; esac; }
within() { limit=$1; shift
  if command -v timeout >/dev/null; then timeout "$limit" "$@"; else "$@"; fi; }
as_postgres() {
  user=${user:-$(first POSTGRES_USER PGUSER)}; user=${user:-postgres}
  database=${database:-$(first POSTGRES_DB PGDATABASE)}; database=${database:-$user}
  if [ -n "$from" ]; then PGPASSWORD=$(secret "$from")
  else PGPASSWORD=$(first PGPASSWORD POSTGRES_PASSWORD); fi
  if [ -z "${PGHOST:-}" ] && [ -S /tmp/.s.PGSQL.5432 ]; then PGHOST=/tmp; export PGHOST; fi
  PGCONNECT_TIMEOUT=5; export PGPASSWORD PGCONNECT_TIMEOUT; }
psql_within() { limit=$1; shift
  within "$limit" psql -X -w -A -t -q -v ON_ERROR_STOP=1 -U "$user" -d "$database" "$@"; }
note() { while IFS= read -r line; do printf '! %s\n' "$line"; done; }
noted() { { { "$@" 2>&1 >&3 3>&-; echo "exit $?"; } | note >&3; } 3>&1; }
"""
SCRIPT = (
    _FUNCTIONS
    + r"""
sql=$1 user=$2 database=$3 from=$4
if command -v psql >/dev/null; then
  as_postgres
  PGOPTIONS='-c default_transaction_read_only=on -c statement_timeout=15s'; export PGOPTIONS
  run() { psql_within 17 -c 'BEGIN READ ONLY' -c "$sql" -c ROLLBACK; }
elif client=$(command -v mariadb || command -v mysql); then
  own=$(first MYSQL_USER MARIADB_USER)
  if [ -n "$from" ]; then MYSQL_PWD=$(secret "$from")
  elif [ -n "${user:-$own}" ] && [ "${user:-$own}" != root ]; then
    MYSQL_PWD=$(first MYSQL_PASSWORD MARIADB_PASSWORD)
  else MYSQL_PWD=$(first MYSQL_ROOT_PASSWORD MARIADB_ROOT_PASSWORD); fi
  user=${user:-${own:-root}} database=${database:-$(first MYSQL_DATABASE MARIADB_DATABASE)}
  export MYSQL_PWD
  run() { within 17 "$client" --batch --skip-column-names --connect-timeout=5 --user="$user" \
    --execute="START TRANSACTION READ ONLY; $sql; ROLLBACK" ${database:+"$database"}; }
else
  run() { echo "there is no psql, mariadb or mysql in this container" >&2; return 127; }
fi
noted run
"""
)
"""Gets the statement, user, database, and where the password is. Rows come as lines; what else the
client says, and how it ended, as lines that begin with NOTE."""
CHANGE_S = 80.0
"""How long the call that changes rows may take; psql is ended before, and then nothing is done."""
CHANGE = (
    _FUNCTIONS
    + r"""
database=$1 user= from= PGAPPNAME=$2
shift 2
as_postgres
PGOPTIONS='-c statement_timeout=60s -c lock_timeout=10s'; export PGAPPNAME PGOPTIONS
for sql do set -- "$@" -c "$sql"; shift; done
run() { command -v psql >/dev/null || { echo "there is no psql in this container" >&2; return 127; }
  psql_within 70 "$@"; }
noted run -c BEGIN "$@" -c COMMIT -c "SELECT date_part('epoch', clock_timestamp())"
"""
)
"""Gets the database, the session's name, and statements: one transaction, then the server's time.
If psql is ended before its COMMIT, the server rolls back."""


@dataclass(frozen=True, slots=True)
class Answer:
    """`code` is how the client ended, None where the answer was cut off; `notes` what it said."""

    rows: Sequence[str]
    notes: str
    code: int | None


def asked(sql: str, user: str = "", database: str = "", password_from: str = "") -> tuple[str, ...]:
    """The command to run in the container.

    `password_from` is a variable of the container, or a file in it.
    """
    return ("sh", "-c", SCRIPT, "harness", sql, user, database, password_from)


def changing(database: str, session: str, statements: Sequence[str]) -> tuple[str, ...]:
    """The command that runs the statements in one transaction, by psql alone.

    `session` is the application_name by which pg_stat_activity lists it. The last row is the
    server's time just after the commit, in seconds since 1970.
    """
    return ("sh", "-c", CHANGE, "harness-change", database, session, *statements)


def read_answer(output: str) -> Answer:
    """What the command printed."""
    lines = output.splitlines()
    notes = [line.removeprefix(NOTE) for line in lines if line.startswith(NOTE)]
    codes = [line.removeprefix(EXIT) for line in lines if line.startswith(EXIT)]
    is_whole = bool(codes) and codes[-1].isdecimal()
    rows = [line for line in lines if not line.startswith(NOTE)]
    return Answer(rows, " ".join(notes), int(codes[-1]) if is_whole else None)
