#!/bin/sh
# PostgreSQL in /data, with an administrator `admin` whose password is in ADMIN_PASSWORD, who alone has rights.
set -eu
if [ ! -e /data/db ]; then
    printf '%s' "$ADMIN_PASSWORD" > /data/password
    initdb --pgdata=/data/new --username=admin --pwfile=/data/password --auth=scram-sha-256 --encoding=UTF8 \
        --locale=C.UTF-8 --no-sync > /data/initdb.log
    echo 'host all all all scram-sha-256' >> /data/new/pg_hba.conf
    mv /data/new /data/db
fi
exec postgres -D /data/db -c listen_addresses='*' -c unix_socket_directories=/data -c fsync=off -c jit=off
