"""The table of results in PostgreSQL: made once, whoever comes first."""

from mizzen_runtime.implementations.postgres_connection import Connection
from mizzen_runtime.services import ServiceError

_COLUMNS = {"id": "uuid", "created_at": "timestamp with time zone", "result": "jsonb"}


async def ensure_table(connection: Connection, table: str) -> None:
    """Make the table unless it is there; a user who may not make one can use one that is.

    Two pods that start at once: CREATE TABLE IF NOT EXISTS alone lets one of them fail. A lock in the server that ends
    with the transaction lets one wait for the other.

    Raises:
        ServiceError: There is a table of that name that is none of ours, or that the user may not use.
        Exception: What `postgres_failures` tells apart.
    """
    columns = await _columns(connection, table)
    if not columns:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"mizzen table {table}")
            await connection.execute(
                f'CREATE TABLE IF NOT EXISTS "{table}" (id uuid PRIMARY KEY, '
                "created_at timestamptz NOT NULL DEFAULT now(), result jsonb NOT NULL)"
            )
        columns = await _columns(connection, table)
    wrong = [f"{name} {kind}" for name, kind in _COLUMNS.items() if columns.get(name) != kind]
    if wrong:
        raise ServiceError(
            f"table {table!r} is no table of results: it has no column {' and no column '.join(wrong)}; "
            "set another name as table"
        )
    if not await connection.fetchval(
        "SELECT has_table_privilege(to_regclass($1), 'SELECT') AND has_table_privilege(to_regclass($1), 'INSERT')",
        f'"{table}"',
    ):
        raise ServiceError(f"the user may not use table {table!r}; GRANT SELECT, INSERT ON {table} TO the user")


async def _columns(connection: Connection, table: str) -> dict[str, str]:
    rows = await connection.fetch(
        "SELECT attname, format_type(atttypid, NULL) AS kind FROM pg_attribute "
        "WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        f'"{table}"',
    )
    return {row["attname"]: row["kind"] for row in rows}
