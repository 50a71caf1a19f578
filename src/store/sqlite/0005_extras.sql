-- What a wish says beyond the protocol, as JSON: a job that is submitted again says it again.
ALTER TABLE jobs ADD COLUMN extras TEXT;
