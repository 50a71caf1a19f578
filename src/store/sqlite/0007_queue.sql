-- Jobs may stand in line until somebody has room for them. SQLite changes a check only by writing the table anew.
CREATE TABLE jobs_as_of_now (
    id               TEXT    NOT NULL PRIMARY KEY,
    tenant           TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('reserved', 'waiting', 'submitting', 'unknown', 'accepted', 'running',
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
    extras           TEXT,
    CHECK ((ended_at_ms IS NOT NULL) = (state IN ('completed', 'failed', 'released'))),
    CHECK ((cost_microusd IS NOT NULL) = (ended_at_ms IS NOT NULL)),
    CHECK (deleted_at_ms IS NULL OR ended_at_ms IS NOT NULL OR state = 'lost')
) STRICT;

INSERT INTO jobs_as_of_now SELECT * FROM jobs;
DROP TABLE jobs;
ALTER TABLE jobs_as_of_now RENAME TO jobs;

CREATE INDEX jobs_of_tenant ON jobs (tenant, id) WHERE deleted_at_ms IS NULL;
CREATE INDEX jobs_due ON jobs (route, due_at_ms, lease_until_ms) WHERE state IN ('accepted', 'running');
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

-- What a job needs that stands in line or may come back to it: all of its wish that its row does not say, and the
-- file that was sent along. `stands` while the job is `waiting`. Whoever shares tenant and lane is taken in the order
-- of their ids, which is that of their wishes. Rows are forgotten once their jobs do not come back.
CREATE TABLE queue (
    job_id      TEXT    NOT NULL PRIMARY KEY REFERENCES jobs (id),
    tenant      TEXT    NOT NULL,
    lane        TEXT    NOT NULL,
    until_at_ms INTEGER NOT NULL,
    stands      INTEGER NOT NULL CHECK (stands IN (0, 1)),
    wish        TEXT    NOT NULL,
    upload      BLOB
) STRICT;

CREATE INDEX queue_lines ON queue (tenant, lane, job_id) WHERE stands = 1;
CREATE INDEX queue_order ON queue (job_id, tenant, lane) WHERE stands = 1;
CREATE INDEX queue_until ON queue (until_at_ms) WHERE stands = 1;
CREATE INDEX queue_left ON queue (job_id) WHERE stands = 0;

-- How many stand in each line, so that nobody has to count them.
CREATE TABLE lines (
    tenant TEXT    NOT NULL,
    lane   TEXT    NOT NULL,
    jobs   INTEGER NOT NULL CHECK (jobs > 0),
    PRIMARY KEY (tenant, lane)
) STRICT, WITHOUT ROWID;
