#!/bin/sh
# Make what compose.yaml keeps secret, in deploy/compose/secrets/. What is there already stays.
# Needs openssl and python3.
set -eu
umask 077
here=$(cd "$(dirname "$0")" && pwd)
secrets=${1:-$here/secrets}
mkdir -p "$secrets/passwords"
cd "$secrets"

random() { openssl rand -hex 24; }
make() { [ -s "$1" ] || printf '%s\n' "$2" >"$1"; }

for user in relay archive forward notify console operator; do
    make "passwords/$user" "$(random)"
done
for name in postgres console_postgres grafana demo_token console_token; do
    make "$name" "$(random)"
done
make relay_url "amqp://relay:$(cat passwords/relay)@rabbitmq:5672/"
make archive_url "amqp://archive:$(cat passwords/archive)@rabbitmq:5672/"
make console_url "amqp://console:$(cat passwords/console)@rabbitmq:5672/"
make archive_database "postgresql://archive:$(cat postgres)@postgres/archive"
make console_database "postgresql://console:$(cat console_postgres)@postgres/archive"
# Made anew when the project's have changed, since there may be new users and rights.
definitions=$here/../rabbitmq/definitions
if ! [ -s definitions.json ] || [ "$definitions.json" -nt definitions.json ]; then
    python3 "$definitions.py" passwords >definitions.json
fi
if ! [ -s relay.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
        -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -keyout relay.key -out relay.crt 2>/dev/null
    cat relay.crt relay.key >relay.pem
fi
# In their containers others than the owner read them; here nobody gets into the directory.
chmod 0644 ./*_url ./*_database ./*_token ./*postgres grafana definitions.json relay.pem
