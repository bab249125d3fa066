// The workspaces on the far left, and what an admin can do with the app in this one.

import { api } from "./api.js";
import { h, icon, refill } from "./dom.js";
import { attempt, confirmDialog } from "./feedback.js";
import { openMenu } from "./popover.js";

/** The list of workspaces; empty and hidden when there is only one. */
export class Rail {
  constructor(app) {
    this.store = app.store;
    this.node = h("nav", { class: "rail", "aria-label": "Workspaces", "data-testid": "rail" });
    this.node.addEventListener("keydown", (event) => this.onKey(event));
  }

  draw() {
    const { teams, team, me } = this.store;
    this.node.hidden = teams.length < 2;
    document.documentElement.classList.toggle("with-rail", teams.length > 1);
    if (this.node.hidden) return;
    refill(this.node, teams.map((t) => {
      const current = t.id === team.id;
      const words = t.enterprise ? `${t.name}, ${t.enterprise.name}` : t.name;
      return h("a", {
        class: `rail-team${current ? " current" : ""}${t.installed ? "" : " without-app"}`,
        href: `${new URL(t.url).pathname.replace(/\/$/, "")}/#user=${me.id}`,
        "aria-current": current ? "page" : null, "aria-label": t.installed ? words : `${words}, without the app`,
        title: words, "data-testid": `team-${t.id}`,
      }, initials(t.name));
    }));
  }

  onKey(event) {
    const all = [...this.node.querySelectorAll("a")];
    const at = all.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (at < 0 || to === undefined || !all[to]) return;
    event.preventDefault();
    all[to].focus();
  }
}

function initials(name) {
  const words = name.split(/\s+/).filter(Boolean);
  return (words.length > 1 ? words[0][0] + words[1][0] : name.slice(0, 2)).toUpperCase();
}

/** The workspace's name; for admins a menu to bring the app here and to take it away. */
export function teamMenu(store) {
  const { team, me } = store;
  if (!me.is_admin) return h("strong", {}, team.name);
  return h("button", {
    type: "button", class: "team-menu", "aria-haspopup": "menu", "aria-label": `${team.name}. Manage the app`,
    "data-testid": "team-menu", onclick: (e) => openMenu(e.currentTarget, choices(store), "Manage the app"),
  }, h("strong", {}, team.name), icon("down", "icon small"));
}

function choices(store) {
  const { assistant, team, teams, me } = store;
  const here = teams.find((t) => t.id === team.id);
  if (!here?.installed) {
    return [{ label: `Install ${assistant.name}`, icon: "plus", testid: "install-app", onpick: () => attempt(api.install(me.id)) }];
  }
  const remove = (body, where) => ({
    label: `Remove ${assistant.name} from ${where}`, icon: "trash", danger: true, testid: body.org ? "remove-org" : "remove-app",
    onpick: () => askToRemove(assistant.name, where, body),
  });
  const found = [remove({}, team.name)];
  if (here.is_enterprise_install) found.push(remove({ org: true }, here.enterprise.name));
  return found;
}

async function askToRemove(name, where, body) {
  const sure = await confirmDialog({
    title: `Remove ${name} from ${where}?`, text: "Its token stops working at once, and it is told that it was removed.",
    confirm: "Remove", danger: true,
  });
  if (sure) await attempt(api.uninstall(body));
}
