-- Who let us in: a workspace, or an organisation for all of its workspaces. What was told and the
-- tokens are encrypted with the key of the inbox.
CREATE TABLE installations (
    holder TEXT NOT NULL PRIMARY KEY,
    sealed BLOB NOT NULL
) STRICT;

-- The workspaces of an organisation that we have been spoken to in.
CREATE TABLE served (
    workspace TEXT NOT NULL PRIMARY KEY,
    holder TEXT NOT NULL
) STRICT;

-- Who sent us away; stays until everything that was kept of them is deleted.
CREATE TABLE departures (
    holder TEXT NOT NULL PRIMARY KEY,
    noted_at REAL NOT NULL
) STRICT;
