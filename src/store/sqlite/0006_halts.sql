-- When nothing was bought because an operator said so: who stopped it and why, and who let it go on. At most one
-- goes on, and one that is over stands.
CREATE TABLE halts (
    number      INTEGER PRIMARY KEY,
    began_at_ms INTEGER NOT NULL,
    began_by    TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    ended_at_ms INTEGER,
    ended_by    TEXT,
    CHECK ((ended_at_ms IS NULL) = (ended_by IS NULL))
) STRICT;

CREATE UNIQUE INDEX halts_one ON halts ((ended_at_ms IS NULL)) WHERE ended_at_ms IS NULL;
