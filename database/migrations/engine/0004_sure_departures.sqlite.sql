-- Whether Slack need not be asked any more if they really sent us away.
ALTER TABLE departures ADD COLUMN sure INTEGER NOT NULL DEFAULT 0;
