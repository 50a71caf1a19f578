-- Jobs may stand in line until somebody has room for them.
ALTER TABLE jobs DROP CONSTRAINT jobs_state_check;
ALTER TABLE jobs ADD CONSTRAINT jobs_state_check CHECK (state IN ('reserved', 'waiting', 'submitting', 'unknown', 'accepted', 'running',
                                                                  'completed', 'failed', 'lost', 'released'));

-- What a job needs that stands in line or may come back to it: all of its wish that its row does not say, and the
-- file that was sent along. `stands` while the job is `waiting`. Whoever shares tenant and lane is taken in the order
-- of their ids, which is that of their wishes. Rows are forgotten once their jobs do not come back.
CREATE TABLE queue (
    job_id      TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES jobs (id),
    tenant      TEXT COLLATE "C" NOT NULL,
    lane        TEXT COLLATE "C" NOT NULL,
    until_at_ms BIGINT  NOT NULL,
    stands      BOOLEAN NOT NULL,
    wish        TEXT    NOT NULL,
    upload      BYTEA
);

CREATE INDEX queue_lines ON queue (tenant, lane, job_id) WHERE stands;
CREATE INDEX queue_order ON queue (job_id, tenant, lane) WHERE stands;
CREATE INDEX queue_until ON queue (until_at_ms) WHERE stands;
CREATE INDEX queue_left ON queue (job_id) WHERE NOT stands;

-- How many stand in each line, so that nobody has to count them.
CREATE TABLE lines (
    tenant TEXT COLLATE "C" NOT NULL,
    lane   TEXT COLLATE "C" NOT NULL,
    jobs   BIGINT  NOT NULL CHECK (jobs > 0),
    PRIMARY KEY (tenant, lane)
) WITH (fillfactor = 50);
