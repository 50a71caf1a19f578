-- Whether a job has stood in line: its client was answered then, so however it ends, its wish is known again.
ALTER TABLE wishes ADD COLUMN has_waited INTEGER NOT NULL DEFAULT 0 CHECK (has_waited IN (0, 1));
UPDATE wishes SET has_waited = 1 WHERE job_id IN (SELECT job_id FROM queue);
