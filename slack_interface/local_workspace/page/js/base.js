// Where this team's page lives: at the root, or below /team/T... when there are several.

export const BASE = /^\/team\/[A-Z0-9]+/.exec(location.pathname)?.[0] ?? "";
