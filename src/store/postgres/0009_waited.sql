-- Whether a job has stood in line: its client was answered then, so however it ends, its wish is known again.
ALTER TABLE wishes ADD COLUMN has_waited BOOLEAN NOT NULL DEFAULT FALSE;
UPDATE wishes SET has_waited = TRUE WHERE job_id IN (SELECT job_id FROM queue);
