-- Jobs are asked about route by route: what is due on one is found without walking past the others'.
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (route, due_at_ms, lease_until_ms) WHERE state IN ('accepted', 'running');
