-- One row per job. What is wished, held and charged is written once; the rest moves by
-- compare-and-set on `version`, and not at all once the job has ended, but for its deletion.
-- Texts that are compared or sorted are compared by their bytes, whatever the database's language.
CREATE TABLE jobs (
    id               TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant           TEXT COLLATE "C" NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('reserved', 'submitting', 'unknown', 'accepted', 'running',
                                                       'completed', 'failed', 'lost', 'released')),
    version          BIGINT  NOT NULL,
    operation        TEXT    NOT NULL,
    model            TEXT COLLATE "C" NOT NULL,
    prompt           TEXT    NOT NULL,
    seconds          BIGINT  NOT NULL,
    size             TEXT    NOT NULL,
    source           TEXT,
    hidden_inputs    BOOLEAN NOT NULL,
    end_user         TEXT,
    residency        TEXT,
    ceiling_microusd BIGINT  NOT NULL CHECK (ceiling_microusd >= 0),
    price_microusd   BIGINT  NOT NULL CHECK (price_microusd BETWEEN 0 AND ceiling_microusd),
    cost_microusd    BIGINT  CHECK (cost_microusd BETWEEN 0 AND ceiling_microusd),
    charge_microusd  BIGINT,
    attempts         BIGINT  NOT NULL,
    attempt          TEXT    NOT NULL,
    route            TEXT COLLATE "C" NOT NULL,
    upstream_model   TEXT    NOT NULL,
    upstream_id      TEXT,
    result_url       TEXT,
    progress         BIGINT  NOT NULL CHECK (progress BETWEEN 0 AND 100),
    error_code       TEXT,
    error_message    TEXT,
    created_at_ms    BIGINT  NOT NULL,
    attempted_at_ms  BIGINT  NOT NULL,
    ended_at_ms      BIGINT,
    expires_at_ms    BIGINT,
    deleted_at_ms    BIGINT,
    due_at_ms        BIGINT  NOT NULL,
    lease_until_ms   BIGINT,
    CHECK ((ended_at_ms IS NOT NULL) = (state IN ('completed', 'failed', 'released'))),
    CHECK ((cost_microusd IS NOT NULL) = (ended_at_ms IS NOT NULL)),
    CHECK (deleted_at_ms IS NULL OR ended_at_ms IS NOT NULL OR state = 'lost')
) WITH (fillfactor = 70);

CREATE INDEX jobs_of_tenant ON jobs (tenant, id) WHERE deleted_at_ms IS NULL;
CREATE INDEX jobs_due ON jobs (route, due_at_ms, lease_until_ms) WHERE state IN ('accepted', 'running');
CREATE INDEX jobs_open ON jobs (route, state, id) WHERE ended_at_ms IS NULL;
CREATE INDEX jobs_by_age ON jobs (created_at_ms);

CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = TG_ARGV[0];
END
$$;

CREATE TRIGGER jobs_end_once
BEFORE UPDATE OF id, tenant, state, ceiling_microusd, price_microusd, cost_microusd, charge_microusd,
                 route, upstream_id, error_code, created_at_ms, ended_at_ms
ON jobs FOR EACH ROW WHEN (OLD.ended_at_ms IS NOT NULL)
EXECUTE FUNCTION refuse('a job that has ended does not change');

CREATE TRIGGER jobs_stay BEFORE DELETE ON jobs FOR EACH ROW EXECUTE FUNCTION refuse('a job stays for the books');
CREATE TRIGGER jobs_all_stay BEFORE TRUNCATE ON jobs FOR EACH STATEMENT EXECUTE FUNCTION refuse('a job stays for the books');

-- How a job's wish is known again when its client sends it again: by the client's own key, or by its
-- words and how often the SDK says that it has sent them.
CREATE TABLE wishes (
    job_id          TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES jobs (id),
    tenant          TEXT COLLATE "C" NOT NULL,
    fingerprint     BYTEA  NOT NULL CHECK (length(fingerprint) = 32),
    idempotency_key TEXT COLLATE "C",
    resend          BIGINT NOT NULL DEFAULT 0,
    created_at_ms   BIGINT NOT NULL
);

CREATE UNIQUE INDEX wishes_by_key ON wishes (tenant, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX wishes_alike ON wishes (tenant, fingerprint, created_at_ms);

-- Each start of a gateway takes a number, which it holds an advisory lock on while it lives.
CREATE SEQUENCE replicas AS INTEGER CYCLE;

-- One row per submission to a route, written before its first byte leaves, by the gateway with the number `replica`.
-- `outcome` is null while nobody knows, else what the caller learnt; without a word of its own:
-- turned_away, completed, failed, lost, released.
CREATE TABLE attempts (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    job_id         TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    number         BIGINT  NOT NULL,
    route          TEXT COLLATE "C" NOT NULL,
    upstream_model TEXT    NOT NULL,
    seconds        BIGINT  NOT NULL,
    size           TEXT    NOT NULL,
    price_microusd BIGINT  NOT NULL CHECK (price_microusd >= 0),
    outcome        TEXT,
    upstream_id    TEXT COLLATE "C",
    replica        INTEGER NOT NULL,
    created_at_ms  BIGINT  NOT NULL,
    UNIQUE (job_id, number)
) WITH (fillfactor = 80);

CREATE UNIQUE INDEX attempts_upstream ON attempts (route, upstream_id) WHERE upstream_id IS NOT NULL;

-- Attempts that were given up without an answer: their upstream may turn out to have taken them.
CREATE INDEX attempts_let_go ON attempts (route, created_at_ms) WHERE outcome IN ('released', 'failed');

-- What happened to the money, one line each; lines are added and never changed.
-- A `suspense` line is what a route charged for a job of its own that no job of ours explains; `adjust`
-- corrects a job that has ended or, without a job, takes a suspense back.
CREATE TABLE ledger (
    number          BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    job_id          TEXT COLLATE "C" REFERENCES jobs (id),
    kind            TEXT   NOT NULL CHECK (kind IN ('hold', 'settle', 'release', 'overrun', 'suspense', 'adjust')),
    amount_microusd BIGINT NOT NULL CHECK (amount_microusd >= 0 OR kind = 'adjust'),
    at_ms           BIGINT NOT NULL,
    route           TEXT COLLATE "C",
    upstream_id     TEXT COLLATE "C",
    note            TEXT,
    CHECK (job_id IS NOT NULL OR kind IN ('suspense', 'adjust')),
    CHECK (job_id IS NULL OR kind <> 'suspense'),
    CHECK (job_id IS NOT NULL OR (route IS NOT NULL AND upstream_id IS NOT NULL))
);

CREATE UNIQUE INDEX ledger_once ON ledger (job_id, kind) WHERE kind IN ('hold', 'settle', 'release');
CREATE UNIQUE INDEX ledger_one_end ON ledger (job_id) WHERE kind IN ('settle', 'release');
CREATE UNIQUE INDEX ledger_suspense_once ON ledger (route, upstream_id) WHERE kind = 'suspense';
CREATE INDEX ledger_of_job ON ledger (job_id);
CREATE INDEX ledger_exceptions ON ledger (kind) WHERE kind IN ('overrun', 'suspense', 'adjust');

CREATE TRIGGER ledger_lines_stand BEFORE UPDATE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse('the ledger is append-only');
CREATE TRIGGER ledger_lines_stay BEFORE DELETE ON ledger FOR EACH ROW EXECUTE FUNCTION refuse('the ledger is append-only');
CREATE TRIGGER ledger_all_stay BEFORE TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION refuse('the ledger is append-only');

-- What an account has in a period, kept beside the ledger in the same transactions.
CREATE TABLE balances (
    account        TEXT COLLATE "C" NOT NULL,
    period         TEXT COLLATE "C" NOT NULL,
    from_at_ms     BIGINT NOT NULL,
    until_at_ms    BIGINT,
    held_microusd  BIGINT NOT NULL CHECK (held_microusd >= 0),
    spent_microusd BIGINT NOT NULL CHECK (spent_microusd >= 0),
    cap_microusd   BIGINT,
    PRIMARY KEY (account, period)
) WITH (fillfactor = 20);

-- Which period each account counts in at present. When that changes, because time went on or because its
-- budget did, the new period begins with what its jobs hold and cost already.
-- An account's row is its lock: who reads or writes its balances, bookings or places has it, and who needs
-- several takes them in the order of their names.
CREATE TABLE current_periods (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    period  TEXT COLLATE "C" NOT NULL,
    FOREIGN KEY (account, period) REFERENCES balances (account, period)
) WITH (fillfactor = 20);

-- Which accounts and periods a job's hold is booked to, so that its end is booked to the same ones; more
-- than one of an account's if its budget was changed to another kind of period in between.
-- The booking of a route that turned the job away is taken out again.
CREATE TABLE bookings (
    job_id          TEXT COLLATE "C" NOT NULL REFERENCES jobs (id),
    account         TEXT COLLATE "C" NOT NULL,
    period          TEXT COLLATE "C" NOT NULL,
    amount_microusd BIGINT NOT NULL CHECK (amount_microusd >= 0),
    PRIMARY KEY (job_id, account, period),
    FOREIGN KEY (account, period) REFERENCES balances (account, period)
);

-- How many places are taken: a tenant's by its jobs that are waited for, a route's by those it may have.
CREATE TABLE in_flight (
    account TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    jobs    BIGINT NOT NULL CHECK (jobs >= 0)
) WITH (fillfactor = 20);

CREATE TABLE characters (
    id            TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    tenant        TEXT COLLATE "C" NOT NULL,
    name          TEXT   NOT NULL,
    route         TEXT COLLATE "C" NOT NULL,
    upstream_id   TEXT   NOT NULL,
    created_at_ms BIGINT NOT NULL
);

-- `identity`: which database this is. `signing_key`: its own secret.
CREATE TABLE meta (
    name  TEXT  NOT NULL PRIMARY KEY,
    value BYTEA NOT NULL
);
