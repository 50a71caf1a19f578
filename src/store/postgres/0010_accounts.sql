-- To which account at its provider an attempt was sent: a fingerprint of dialect, address and credential. Where that is
-- not known, because the row is older, it is whatever account the route has now: null, and an empty text on a job, whose
-- latest attempt's account stands there so that what is due can be found by it.
ALTER TABLE attempts ADD COLUMN account TEXT COLLATE "C";
ALTER TABLE jobs ADD COLUMN upstream_account TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE characters ADD COLUMN account TEXT COLLATE "C";

-- Two accounts that a route had one after the other may call two jobs the same.
DROP INDEX attempts_upstream;
CREATE UNIQUE INDEX attempts_upstream ON attempts (route, upstream_id, coalesce(account, '')) WHERE upstream_id IS NOT NULL;
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (route, upstream_account, due_at_ms, lease_until_ms) WHERE state IN ('accepted', 'running');
DROP INDEX jobs_open;
CREATE INDEX jobs_open ON jobs (route, state, id, upstream_account) WHERE ended_at_ms IS NULL;
