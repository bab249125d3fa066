"""One file for each kind of thing that Slack sends; each returns when it is safe to acknowledge."""
