#!/bin/sh
# Keeps a PostgreSQL server in $FOLDER, with the settings on the command line, for whoever writes to our input:
# makes and starts it, obeys `stop` and `start`, answers each with `done`, and removes everything at the end of
# the input, which comes in whatever way the writer ends. Says `failed` if it cannot.
#
# PostgreSQL does not run as root: as root, this runs it as `postgres` or `nobody`. Debian keeps its programs
# out of the path.
trap "" INT TERM HUP
cd /
for bin in /usr/lib/postgresql/*/bin; do PATH=$PATH:$bin; done

as_somebody() { "$@"; }
if [ "$(id -u)" = 0 ]; then
    user=nobody
    if id postgres >/dev/null 2>&1; then user=postgres; fi
    chown "$user" "$FOLDER"
    as_somebody() { setpriv --reuid="$user" --regid="$(id -g "$user")" --clear-groups "$@"; }
fi

start() { as_somebody pg_ctl start -D "$FOLDER/data" -s -w -t 60 -l "$FOLDER/log"; }
stop() { as_somebody pg_ctl stop -D "$FOLDER/data" -s -w -t 60 -m immediate; }
make() {
    as_somebody initdb -D "$FOLDER/data" --no-sync --auth=trust --username=filmgate --encoding=UTF8 --locale=C >"$FOLDER/initdb.log" 2>&1 &&
        for setting in "$@"; do echo "$setting" >>"$FOLDER/data/postgresql.conf"; done &&
        start
}
obey() { if "$@" </dev/null >&2; then echo done; else echo failed; fi; }

exec 2>"$FOLDER/guard.log"
obey make "$@"
while read -r order; do
    case $order in
    start) obey start ;;
    stop) obey stop ;;
    esac
done
stop
rm -rf "$FOLDER"
