-- Events that are owed to webhooks, written in the transaction of what they tell of. `addressee` is
-- `tenant:NAME` or `operator`; `body` is signed and sent as it is. One of the same addressee, kind and
-- subject is owed once. What is neither sent nor dead is owed, and due at `due_at_ms`.
CREATE TABLE notices (
    id             TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    addressee      TEXT COLLATE "C" NOT NULL,
    kind           TEXT COLLATE "C" NOT NULL,
    subject        TEXT COLLATE "C" NOT NULL,
    body           TEXT    NOT NULL,
    tries          BIGINT  NOT NULL DEFAULT 0 CHECK (tries >= 0),
    due_at_ms      BIGINT  NOT NULL,
    lease_until_ms BIGINT ,
    sent_at_ms     BIGINT ,
    dead_at_ms     BIGINT ,
    last_error     TEXT,
    created_at_ms  BIGINT  NOT NULL,
    CHECK (sent_at_ms IS NULL OR dead_at_ms IS NULL)
);

CREATE UNIQUE INDEX notices_once ON notices (addressee, kind, subject);
CREATE INDEX notices_due ON notices (due_at_ms) WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL;
CREATE INDEX notices_owed ON notices (addressee, due_at_ms) WHERE sent_at_ms IS NULL AND dead_at_ms IS NULL;
CREATE INDEX notices_dead ON notices (dead_at_ms) WHERE dead_at_ms IS NOT NULL;
CREATE INDEX notices_sent ON notices (sent_at_ms) WHERE sent_at_ms IS NOT NULL;
