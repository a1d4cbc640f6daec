#!/bin/sh
# A database is made at the first start; scripts in /docker-entrypoint-initdb.d fill it.
set -e
if [ ! -s "$PGDATA/PG_VERSION" ]; then
  printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
  initdb --username="${POSTGRES_USER:=postgres}" --pwfile=/tmp/password --auth=scram-sha-256 >/dev/null
  rm /tmp/password
  echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
  export PGPASSWORD="$POSTGRES_PASSWORD"
  pg_ctl start --wait --options="-c listen_addresses=''" >/dev/null
  [ "${POSTGRES_DB:=$POSTGRES_USER}" = postgres ] || createdb --username="$POSTGRES_USER" "$POSTGRES_DB"
  for script in /docker-entrypoint-initdb.d/*.sql; do
    [ ! -f "$script" ] || psql --quiet --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" --file="$script"
  done
  pg_ctl stop --wait >/dev/null
fi
exec "$@" -c "listen_addresses=*"
