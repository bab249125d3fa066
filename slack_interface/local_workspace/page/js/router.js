// Where the person is: kept in the location hash, so that a reload or a shared link comes back to it.

/** {user, channel, thread, tab} of the hash; missing parts are null. */
export function readRoute() {
  const q = new URLSearchParams(location.hash.replace(/^#/, ""));
  const get = (k) => q.get(k) || null;
  return { user: get("user"), channel: get("channel"), thread: get("thread"), tab: get("tab") };
}

export function routeHash(route) {
  const q = new URLSearchParams();
  for (const key of ["user", "channel", "thread", "tab"]) if (route[key]) q.set(key, route[key]);
  return `#${q.toString()}`;
}

export function go(change) {
  const next = routeHash({ ...readRoute(), ...change });
  if (next !== location.hash) location.hash = next;
}

export function replaceRoute(route) {
  history.replaceState(null, "", routeHash(route));
}
