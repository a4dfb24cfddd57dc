"""The tables, as numbered steps; sqlite-utils keeps track of which have run.

A step is never changed once it has been released: a new one follows. Times are REAL seconds since the epoch.
"""

from typing import Final

from sqlite_utils import Database, Migrations

MIGRATIONS: Final = Migrations("kubently")


@MIGRATIONS()
def m001_first_tables(db: Database) -> None:
    """Keys, clusters, tokens, sessions, results and their output."""
    keys = {
        "key_id": str,
        "name": str,
        "role": str,
        "secret_hash": str,
        "created_at": float,
        "clusters": str,
        "expires_at": float,
    }
    db.table("keys").create(keys, pk="key_id", not_null={"name", "role", "secret_hash", "created_at"})
    db.table("keys").create_index(["secret_hash"], unique=True)

    clusters = {
        "cluster_id": str,
        "name": str,
        "created_at": float,
        "agent_version": str,
        "kubernetes_version": str,
        "last_seen": float,
    }
    db.table("clusters").create(clusters, pk="cluster_id", not_null={"name", "created_at"})

    tokens = {"token_id": str, "cluster_id": str, "secret_hash": str, "created_at": float}
    db.table("tokens").create(tokens, pk="token_id", not_null=set(tokens))
    db.table("tokens").create_index(["secret_hash"], unique=True)
    db.table("tokens").create_index(["cluster_id"])

    sessions = {
        "session_id": str,
        "cluster_id": str,
        "key_id": str,
        "created_at": float,
        "expires_at": float,
        "last_activity": float,
        "status": str,
        "closed_at": float,
        "commands_executed": int,
        "metadata": str,
        "correlation_id": str,
        "service_identity": str,
    }
    nullable = {"closed_at", "correlation_id", "service_identity"}
    db.table("sessions").create(sessions, pk="session_id", not_null=set(sessions) - nullable)
    db.table("sessions").create_index(["status", "created_at", "session_id"])
    db.table("sessions").create_index(["cluster_id", "status"])

    results = {
        "result_id": str,
        "session_id": str,
        "cluster_id": str,
        "key_id": str,
        "command_type": str,
        "args": str,
        "timeout_seconds": float,
        "accepted_at": float,
        "deadline_at": float,
        "status": str,
        "correlation_id": str,
        "service_identity": str,
        "ended_at": float,
        "exit_code": int,
        "executor": str,
        "reason": str,
        "execution_time_ms": int,
        "output_bytes": int,
        "omitted_bytes": int,
        "stored_bytes": int,
    }
    nullable = {
        "correlation_id",
        "service_identity",
        "ended_at",
        "exit_code",
        "executor",
        "reason",
        "execution_time_ms",
    }
    db.table("results").create(results, pk="result_id", not_null=set(results) - nullable)
    db.table("results").create_index(["session_id"])
    # The reaper asks every second; few commands are open at any time. A result is in one of the two indexes only.
    db.execute("CREATE INDEX results_open ON results (deadline_at) WHERE ended_at IS NULL")
    db.execute("CREATE INDEX results_ended ON results (ended_at) WHERE ended_at IS NOT NULL")

    # `start` and `size` stand before `data`: SQLite then finds a byte offset without reading the output itself.
    chunks = {"result_id": str, "seq": int, "stream": str, "start": int, "size": int, "data": str}
    db.table("chunks").create(chunks, not_null=set(chunks))
    db.table("chunks").create_index(["result_id", "seq"], unique=True)

    idempotency = {"key_id": str, "value": str, "fingerprint": str, "result_id": str, "created_at": float}
    db.table("idempotency").create(idempotency, pk=("key_id", "value"), not_null=set(idempotency))
    db.table("idempotency").create_index(["created_at"])

    db.table("health").create({"id": int, "padding": bytes}, pk="id")


@MIGRATIONS()
def m002_a_command_is_two_statements(db: Database) -> None:
    """Accepting a command is one INSERT, ending it one UPDATE; each writes as few pages as it can."""
    # Output that came whole, with the ending, as JSON [[seq, stream, data], …]; NULL: it is in table chunks.
    db.table("results").add_column("chunks", str)
    # Results of a session that are not reaped yet. It is counted along, so that results need no index by session.
    db.table("sessions").add_column("results_kept", int, not_null_default=0)
    db.execute(
        "UPDATE sessions SET results_kept ="
        " (SELECT count(*) FROM results WHERE results.session_id = sessions.session_id)"
    )
    db.execute(
        "CREATE TRIGGER result_accepted AFTER INSERT ON results BEGIN"
        " UPDATE sessions SET commands_executed = commands_executed + 1, results_kept = results_kept + 1,"
        " last_activity = NEW.accepted_at WHERE session_id = NEW.session_id; END"
    )
    db.execute(
        "CREATE TRIGGER result_removed AFTER DELETE ON results BEGIN"
        " DELETE FROM chunks WHERE result_id = OLD.result_id;"
        " UPDATE sessions SET results_kept = results_kept - 1 WHERE session_id = OLD.session_id; END"
    )
    # Rows lie in the order in which they were accepted, and are reaped in it. results_open stays: it is a page or two.
    db.execute("DROP INDEX idx_results_session_id")
    db.execute("DROP INDEX results_ended")


@MIGRATIONS()
def m003_streams(db: Database) -> None:
    """Live output: what the agent left out of it, which process runs the command, and what is held of a long stream."""
    results = db.table("results")
    results.add_column("omitted_lines", int, not_null_default=0)
    results.add_column("is_truncated", int, not_null_default=0)
    results.add_column("expired_bytes", int, not_null_default=0)  # of stdout
    results.add_column("boot_id", str)
    results.add_column("is_stream", int, not_null_default=0)
    results.add_column("max_output_bytes", int, not_null_default=0)
    results.add_column("contract", str)
    results.add_column("last_seq", int, not_null_default=0)  # the highest number stored
    results.add_column("full_bytes", int, not_null_default=0)  # of stream "full", as stored_bytes counts stdout
    results.add_column("kept_bytes", int, not_null_default=0)  # of all streams, less what was let go
    db.execute(
        "UPDATE results SET last_seq = coalesce((SELECT max(seq) FROM chunks"
        " WHERE chunks.result_id = results.result_id), 0), kept_bytes = coalesce((SELECT sum(size) FROM chunks"
        " WHERE chunks.result_id = results.result_id), stored_bytes)"
    )
    # What waits is still to be sent, under the bound that the settings had unless they said otherwise.
    db.execute("UPDATE results SET max_output_bytes = 8 * 1024 * 1024 WHERE ended_at IS NULL")
    db.execute("UPDATE results SET is_truncated = 1 WHERE omitted_bytes > 0")
    # stderr is always read whole: without looking at all the stdout it lies between.
    db.execute("CREATE INDEX chunks_stderr ON chunks (result_id, seq) WHERE stream = 'stderr'")


@MIGRATIONS()
def m004_tokens_expire(db: Database) -> None:
    """Agent tokens may have an end."""
    db.table("tokens").add_column("expires_at", float)


@MIGRATIONS()
def m005_redactions(db: Database) -> None:
    """How often each of the agent's rules hid something in a result: JSON, `{"secret": 2}`."""
    db.table("results").add_column("redactions", str)


@MIGRATIONS()
def m006_scoped_keys(db: Database) -> None:
    """What a key may run and how much of it, both JSON; and its former secret, which works for a while yet."""
    keys = db.table("keys")
    keys.add_column("scope", str)
    keys.add_column("limits", str)
    keys.add_column("retired_hash", str)
    keys.add_column("retired_until", float)
    keys.create_index(["retired_hash"])


@MIGRATIONS()
def m007_policies(db: Database) -> None:
    """What each cluster's owner allows, as the agent last told it, as JSON, and when it did."""
    clusters = db.table("clusters")
    clusters.add_column("policy", str)
    clusters.add_column("policy_at", float)


@MIGRATIONS()
def m008_audit(db: Database) -> None:
    """The audit log, and where its chain begins; see `audit.py`."""
    # The rest of a row is JSON, and there is no index that each command would have to write: rows are found by number.
    db.execute(
        "CREATE TABLE audit (seq INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL,"
        " mac BLOB NOT NULL)"
    )
    # Which numbers a time has, about: one row in 64 is in it.
    db.execute("CREATE INDEX audit_times ON audit (at) WHERE seq % 64 = 0")
    db.execute(
        "CREATE TABLE audit_chain (id INTEGER PRIMARY KEY CHECK (id = 1), hub_id TEXT NOT NULL,"
        " created_at REAL NOT NULL, key_check BLOB NOT NULL, removed_seq INTEGER NOT NULL,"
        " removed_mac BLOB NOT NULL, removed_at REAL NOT NULL, signature BLOB NOT NULL)"
    )
    # Against mistakes: whoever can drop these is found by the chain.
    db.execute(
        "CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN"
        " SELECT RAISE(ABORT, 'rows of the audit log do not change'); END"
    )
    db.execute(
        "CREATE TRIGGER audit_is_not_removed BEFORE DELETE ON audit"
        " WHEN OLD.seq > coalesce((SELECT removed_seq FROM audit_chain), 0) BEGIN"
        " SELECT RAISE(ABORT, 'rows of the audit log go by retention only'); END"
    )
    db.execute(
        "CREATE TRIGGER audit_chain_is_not_removed BEFORE DELETE ON audit_chain BEGIN"
        " SELECT RAISE(ABORT, 'the beginning of the audit log does not go'); END"
    )


@MIGRATIONS()
def m009_labels(db: Database) -> None:
    """Labels of clusters, JSON: what admins have set, and what the agent last announced."""
    clusters = db.table("clusters")
    clusters.add_column("labels", str, not_null_default="{}")
    clusters.add_column("announced_labels", str, not_null_default="{}")
