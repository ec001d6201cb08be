#!/bin/sh
# Run once by the postgres image, on an empty volume: a role and a database for each program.
# Synapse refuses a database whose locale is not C.
set -e

for NAME in bridge synapse; do
    PASSWORD=$(cat "/run/secrets/${NAME}_database_password")
    export NAME PASSWORD
    psql --no-psqlrc --quiet -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<'SQL'
\getenv name NAME
\getenv password PASSWORD
CREATE ROLE :"name" LOGIN PASSWORD :'password';
CREATE DATABASE :"name" OWNER :"name" TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C';
REVOKE ALL ON DATABASE :"name" FROM PUBLIC;
SQL
done
