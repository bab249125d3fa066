-- A workflow's name is its audience's own: one that not everybody may read is kept under its name,
-- "@" and something of its own, so that it does not take (and so tell) the name for others.

UPDATE documents SET name = documents.name || '@' || named.first FROM (
    SELECT workspace, kind, name, min(rowid) AS first FROM documents
    WHERE kind = 'runbook' AND audience <> 'public' AND instr(name, '@') = 0
    GROUP BY workspace, kind, name
) AS named
WHERE documents.workspace = named.workspace AND documents.kind = named.kind
    AND documents.name = named.name;
