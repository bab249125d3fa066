-- An answer that is complete but not yet seen, encrypted; deleted when it was seen and recorded.
ALTER TABLE sends ADD COLUMN body BLOB;
