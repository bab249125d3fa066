-- Who was forgotten in the last days, as a salted digest: what was under way then names nobody.

CREATE TABLE forgotten (
    workspace TEXT NOT NULL,
    salt BLOB NOT NULL,
    digest BLOB NOT NULL,
    forgotten_at REAL NOT NULL,
    PRIMARY KEY (workspace, salt)
) STRICT;
