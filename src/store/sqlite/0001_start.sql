-- One row per job. What is wished, held and charged is written once; the rest moves by
-- compare-and-set on `version`, and not at all once the job has ended, but for its deletion.
CREATE TABLE jobs (
    id               TEXT    NOT NULL PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('reserved', 'submitting', 'unknown', 'accepted', 'running',
                                                       'completed', 'failed', 'lost', 'released')),
    version          INTEGER NOT NULL,
    operation        TEXT    NOT NULL,
    model            TEXT    NOT NULL,
    prompt           TEXT    NOT NULL,
    seconds          INTEGER NOT NULL,
    size             TEXT    NOT NULL,
    source           TEXT,
    hidden_inputs    INTEGER NOT NULL CHECK (hidden_inputs IN (0, 1)),
    end_user         TEXT,
    residency        TEXT,
    ceiling_microusd INTEGER NOT NULL CHECK (ceiling_microusd >= 0),
    price_microusd   INTEGER NOT NULL CHECK (price_microusd BETWEEN 0 AND ceiling_microusd),
    cost_microusd    INTEGER CHECK (cost_microusd BETWEEN 0 AND ceiling_microusd),
    charge_microusd  INTEGER,
    attempts         INTEGER NOT NULL,
    attempt          TEXT    NOT NULL,
    route            TEXT    NOT NULL,
    upstream_model   TEXT    NOT NULL,
    upstream_id      TEXT,
    result_url       TEXT,
    progress         INTEGER NOT NULL CHECK (progress BETWEEN 0 AND 100),
    error_code       TEXT,
    error_message    TEXT,
    created_at_ms    INTEGER NOT NULL,
    attempted_at_ms  INTEGER NOT NULL,
    ended_at_ms      INTEGER,
    expires_at_ms    INTEGER,
    deleted_at_ms    INTEGER,
    due_at_ms        INTEGER NOT NULL,
    lease_until_ms   INTEGER,
    CHECK ((ended_at_ms IS NOT NULL) = (state IN ('completed', 'failed', 'lost', 'released'))),
    CHECK ((cost_microusd IS NOT NULL) = (ended_at_ms IS NOT NULL)),
    CHECK (deleted_at_ms IS NULL OR ended_at_ms IS NOT NULL)
) STRICT;

CREATE INDEX jobs_of_tenant ON jobs (tenant, id) WHERE deleted_at_ms IS NULL;
CREATE INDEX jobs_due ON jobs (due_at_ms) WHERE state IN ('accepted', 'running');
CREATE INDEX jobs_open ON jobs (route, state, id) WHERE ended_at_ms IS NULL;
CREATE INDEX jobs_by_age ON jobs (created_at_ms);

CREATE TRIGGER jobs_end_once
BEFORE UPDATE OF id, tenant, state, ceiling_microusd, price_microusd, cost_microusd, charge_microusd,
                 route, upstream_id, error_code, created_at_ms, ended_at_ms
ON jobs WHEN OLD.ended_at_ms IS NOT NULL
BEGIN
    SELECT raise(ABORT, 'a job that has ended does not change');
END;

CREATE TRIGGER jobs_stay BEFORE DELETE ON jobs
BEGIN
    SELECT raise(ABORT, 'a job stays for the books');
END;

-- How a job's wish is known again when its client sends it again: by the client's own key, or by its
-- words and how often the SDK says that it has sent them.
CREATE TABLE wishes (
    job_id          TEXT    NOT NULL PRIMARY KEY REFERENCES jobs (id),
    tenant          TEXT    NOT NULL,
    fingerprint     BLOB    NOT NULL CHECK (length(fingerprint) = 32),
    idempotency_key TEXT,
    resend          INTEGER NOT NULL DEFAULT 0,
    created_at_ms   INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX wishes_by_key ON wishes (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX wishes_alike ON wishes (tenant, fingerprint, created_at_ms);

-- One row per submission to a route, written before its first byte leaves.
-- `outcome` is null while nobody knows, else what the caller learnt; without a word of its own:
-- turned_away, completed, failed, lost, released.
CREATE TABLE attempts (
    id             TEXT    NOT NULL PRIMARY KEY,
    job_id         TEXT    NOT NULL REFERENCES jobs (id),
    number         INTEGER NOT NULL,
    route          TEXT    NOT NULL,
    upstream_model TEXT    NOT NULL,
    seconds        INTEGER NOT NULL,
    size           TEXT    NOT NULL,
    price_microusd INTEGER NOT NULL CHECK (price_microusd >= 0),
    outcome        TEXT,
    upstream_id    TEXT,
    created_at_ms  INTEGER NOT NULL,
    UNIQUE (job_id, number)
) STRICT;

CREATE UNIQUE INDEX attempts_upstream ON attempts (route, upstream_id) WHERE upstream_id IS NOT NULL;

-- What happened to the money, one line each; lines are added and never changed.
-- `suspense` has no job: nothing of ours explains it.
CREATE TABLE ledger (
    number          INTEGER PRIMARY KEY,
    job_id          TEXT REFERENCES jobs (id),
    kind            TEXT    NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'overrun', 'suspense', 'adjust')),
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd >= 0 OR kind = 'adjust'),
    at_ms           INTEGER NOT NULL,
    CHECK ((job_id IS NULL) = (kind = 'suspense'))
) STRICT;

CREATE UNIQUE INDEX ledger_once ON ledger (job_id, kind) WHERE kind IN ('hold', 'settle', 'release');
CREATE UNIQUE INDEX ledger_one_end ON ledger (job_id) WHERE kind IN ('settle', 'release');
CREATE INDEX ledger_of_job ON ledger (job_id);
CREATE INDEX ledger_unexplained ON ledger (kind) WHERE kind IN ('overrun', 'suspense');

CREATE TRIGGER ledger_lines_stand BEFORE UPDATE ON ledger
BEGIN
    SELECT raise(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_lines_stay BEFORE DELETE ON ledger
BEGIN
    SELECT raise(ABORT, 'the ledger is append-only');
END;

-- What an account has in a period, kept beside the ledger in the same transactions.
CREATE TABLE balances (
    account        TEXT    NOT NULL,
    period         TEXT    NOT NULL,
    from_at_ms     INTEGER NOT NULL,
    until_at_ms    INTEGER,
    held_microusd  INTEGER NOT NULL CHECK (held_microusd >= 0),
    spent_microusd INTEGER NOT NULL CHECK (spent_microusd >= 0),
    cap_microusd   INTEGER,
    PRIMARY KEY (account, period)
) STRICT, WITHOUT ROWID;

-- Which period each account counts in at present. When that changes, because time went on or because its
-- budget did, the new period begins with what its jobs hold and cost already.
CREATE TABLE current_periods (
    account TEXT NOT NULL PRIMARY KEY,
    period  TEXT NOT NULL,
    FOREIGN KEY (account, period) REFERENCES balances (account, period)
) STRICT, WITHOUT ROWID;

-- Which accounts and periods a job's hold is booked to, so that its end is booked to the same ones; more
-- than one of an account's if its budget was changed to another kind of period in between.
-- The booking of a route that turned the job away is taken out again.
CREATE TABLE bookings (
    job_id          TEXT    NOT NULL REFERENCES jobs (id),
    account         TEXT    NOT NULL,
    period          TEXT    NOT NULL,
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd >= 0),
    PRIMARY KEY (job_id, account, period),
    FOREIGN KEY (account, period) REFERENCES balances (account, period)
) STRICT, WITHOUT ROWID;

-- How many places are taken: a tenant's by its jobs that have not ended, a route's by those it may have.
CREATE TABLE in_flight (
    account TEXT    NOT NULL PRIMARY KEY,
    jobs    INTEGER NOT NULL CHECK (jobs >= 0)
) STRICT, WITHOUT ROWID;

CREATE TABLE characters (
    id            TEXT    NOT NULL PRIMARY KEY,
    tenant        TEXT    NOT NULL,
    name          TEXT    NOT NULL,
    route         TEXT    NOT NULL,
    upstream_id   TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `identity`: which database this is. `signing_key`: its own secret.
CREATE TABLE meta (
    name  TEXT NOT NULL PRIMARY KEY,
    value ANY  NOT NULL
) STRICT, WITHOUT ROWID;
