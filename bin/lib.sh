# Sourced by the scripts beside it.
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# What the user named, if anything; the scripts call each other and hand it on.
export PG_CONFIG_GIVEN=${PG_CONFIG_GIVEN-${PG_CONFIG-}}
export PG_CONFIG=${PG_CONFIG:-/usr/lib/postgresql/17/bin/pg_config}
# A PGRX_HOME of our own: what the user has configured in ~/.pgrx stays as it is.
export PGRX_HOME=$ROOT/target/pgrx
export PATH=${HOME-}/.cargo/bin:$PATH
# With it, pgrx puts a backtrace in the DETAIL of every ERROR.
unset RUST_BACKTRACE

say() {
    echo "pg_dbre: $1"
}

fail() {
    printf 'pg_dbre: %s\n' "$1" >&2
    [ -z "${2-}" ] || printf 'pg_dbre: %s\n' "$2" >&2
    exit 1
}

# install_extension [--release]: builds pg_dbre and installs it into the PostgreSQL that PG_CONFIG names.
install_extension() {
    local as=() log=$ROOT/target/install.log
    [ -w "$("$PG_CONFIG" --pkglibdir)" ] || as=(--sudo)
    say "building pg_dbre and installing it into $("$PG_CONFIG" --version) (a first build takes some minutes)"
    (cd "$ROOT" && cargo pgrx install --pg-config "$PG_CONFIG" "${as[@]}" "$@") >"$log" 2>&1 ||
        fail "cargo pgrx install failed (log: $log)" "$(grep -m1 -A4 '^error\|^Error' "$log" || tail -n 3 "$log")"
}
