-- By which of its tenant's keys a job was ordered: what a key's cap counts. A user's cap finds its jobs by an index.
ALTER TABLE jobs ADD COLUMN key_name TEXT;
CREATE INDEX jobs_of_user ON jobs (tenant, end_user, created_at_ms) WHERE end_user IS NOT NULL;
