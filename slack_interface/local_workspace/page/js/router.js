// Where the person is: kept in the location hash, so that a reload or a shared link comes back to it.

import { BASE } from "./base.js";

const PERMALINK = /^(?:\/team\/[A-Z0-9]+)?\/archives\/([A-Z0-9]+)(?:\/p(\d+)(\d{6}))?\/?$/;

/** A permalink's path (/archives/C.../p...) becomes a hash, so that everything else knows one form. */
function fromPermalink() {
  const found = PERMALINK.exec(location.pathname);
  if (!found) return;
  const [, channel, seconds, rest] = found;
  const thread = new URLSearchParams(location.search).get("thread_ts") || (seconds ? `${seconds}.${rest}` : null);
  history.replaceState(null, "", `${BASE}/${routeHash({ ...hashRoute(), channel, thread })}`);
}

/** {user, channel, thread, tab} of the location; missing parts are null. */
export function readRoute() {
  fromPermalink();
  return hashRoute();
}

function hashRoute() {
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
