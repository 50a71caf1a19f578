-- A lost job holds its money until policy ends it, so `lost` is no end any more: what ended there has
-- failed. The ledger takes in what a provider charged and no job explains, and corrections, each with
-- the reason for it.
--
-- SQLite changes a check only by writing the table anew. Foreign keys are off meanwhile, and looked at before the commit.
CREATE TABLE jobs_as_of_now (
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
    CHECK ((ended_at_ms IS NOT NULL) = (state IN ('completed', 'failed', 'released'))),
    CHECK ((cost_microusd IS NOT NULL) = (ended_at_ms IS NOT NULL)),
    CHECK (deleted_at_ms IS NULL OR ended_at_ms IS NOT NULL OR state = 'lost')
) STRICT;

INSERT INTO jobs_as_of_now SELECT * FROM jobs WHERE state <> 'lost';
INSERT INTO jobs_as_of_now
    SELECT id, tenant, 'failed', version, operation, model, prompt, seconds, size, source, hidden_inputs, end_user, residency,
        ceiling_microusd, price_microusd, cost_microusd, charge_microusd, attempts, attempt, route, upstream_model, upstream_id,
        result_url, progress, error_code, error_message, created_at_ms, attempted_at_ms, ended_at_ms, expires_at_ms, deleted_at_ms,
        due_at_ms, lease_until_ms
    FROM jobs WHERE state = 'lost';
DROP TABLE jobs;
ALTER TABLE jobs_as_of_now RENAME TO jobs;

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

-- What happened to the money, one line each; lines are added and never changed.
-- A `suspense` line is what a route charged for a job of its own that no job of ours explains; `adjust`
-- corrects a job that has ended or, without a job, takes a suspense back.
CREATE TABLE ledger_as_of_now (
    number          INTEGER PRIMARY KEY,
    job_id          TEXT REFERENCES jobs (id),
    kind            TEXT    NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'overrun', 'suspense', 'adjust')),
    amount_microusd INTEGER NOT NULL CHECK (amount_microusd >= 0 OR kind = 'adjust'),
    at_ms           INTEGER NOT NULL,
    route           TEXT,
    upstream_id     TEXT,
    note            TEXT,
    CHECK (job_id IS NOT NULL OR kind IN ('suspense', 'adjust')),
    CHECK (job_id IS NULL OR kind <> 'suspense'),
    CHECK (job_id IS NOT NULL OR (route IS NOT NULL AND upstream_id IS NOT NULL))
) STRICT;

INSERT INTO ledger_as_of_now (number, job_id, kind, amount_microusd, at_ms) SELECT number, job_id, kind, amount_microusd, at_ms FROM ledger;
DROP TABLE ledger;
ALTER TABLE ledger_as_of_now RENAME TO ledger;

CREATE UNIQUE INDEX ledger_once ON ledger (job_id, kind) WHERE kind IN ('hold', 'settle', 'release');
CREATE UNIQUE INDEX ledger_one_end ON ledger (job_id) WHERE kind IN ('settle', 'release');
CREATE UNIQUE INDEX ledger_suspense_once ON ledger (route, upstream_id) WHERE kind = 'suspense';
CREATE INDEX ledger_of_job ON ledger (job_id);
CREATE INDEX ledger_exceptions ON ledger (kind) WHERE kind IN ('overrun', 'suspense', 'adjust');

CREATE TRIGGER ledger_lines_stand BEFORE UPDATE ON ledger
BEGIN
    SELECT raise(ABORT, 'the ledger is append-only');
END;

CREATE TRIGGER ledger_lines_stay BEFORE DELETE ON ledger
BEGIN
    SELECT raise(ABORT, 'the ledger is append-only');
END;

-- Attempts that were given up without an answer: their upstream may turn out to have taken them.
CREATE INDEX attempts_let_go ON attempts (route, created_at_ms) WHERE outcome IN ('released', 'failed');
