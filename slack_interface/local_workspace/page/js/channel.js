// The middle of the page: a channel or the assistant's direct message, with its Home tab and suggested prompts.

import { drawBlocks } from "./blocks/index.js";
import { acceptDrops, Composer } from "./composer.js";
import { fill, h, icon, iconButton } from "./dom.js";
import { MessageList } from "./messages.js";
import { avatar } from "./parts.js";

/** One conversation. update() redraws messages; drawHome() and drawPrompts() the rest. */
export class ChannelPane {
  constructor(app, channel, tab) {
    this.app = app;
    this.store = app.store;
    this.channel = channel;
    this.isDm = channel.kind === "im";
    this.tab = this.isDm ? tab : null;
    const title = this.store.channelTitle(channel);
    this.head = h("header", { class: "pane-head" });
    this.body = h("div", { class: "pane-body" });
    this.node = h("main", { class: "channel", id: "main", tabindex: "-1", "aria-label": title }, this.head, this.body);
    this.list = new MessageList(app, channel.id, "channel", `Messages in ${title}`);
    this.composer = new Composer(app, { channel: channel.id, thread_ts: null }, {
      testid: "composer", placeholder: this.isDm ? `Message ${title}` : `Message #${title}`,
      onsent: (message) => this.isDm && app.openThread(channel.id, message.ts, { focus: true }),
    });
    this.home = h("div", { class: "home blocks", "data-testid": "home", role: "tabpanel", "aria-label": "Home", tabindex: "-1" });
    acceptDrops(this.node, this.composer);
    this.drawHead();
    this.showTab();
    this.update();
  }

  drawHead() {
    const { channel, store } = this;
    const lead = this.isDm ? avatar({ color: "var(--accent)", isBot: true }, "small") : icon(channel.kind === "private" ? "lock" : "hash");
    fill(this.head,
      iconButton("menu", "Open the sidebar", () => this.app.toggleDrawer(true), { class: "icon-button narrow-only", "data-testid": "drawer-button" }),
      h("div", { class: "pane-title" }, h("h1", {}, lead, store.channelTitle(channel)),
        h("span", { class: "quiet topic" }, this.isDm ? store.assistant.description : channel.topic)),
      this.isDm && this.tabs());
  }

  tabs() {
    const tab = (name, label) => h("button", {
      type: "button", role: "tab", class: "tab", "aria-selected": this.tab === name ? "true" : "false", tabindex: this.tab === name ? "0" : "-1",
      "data-testid": `${name}-tab`, onclick: () => this.app.go({ tab: name === "home" ? "home" : null, thread: null }),
    }, label);
    const node = h("div", { class: "tabs", role: "tablist", "aria-label": "Assistant" }, tab("home", "Home"), tab("messages", "Messages"));
    node.addEventListener("keydown", (event) => {
      if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
      const other = [...node.children].find((n) => n !== document.activeElement);
      other.click();
      document.querySelector(`[data-testid="${other.dataset.testid}"]`)?.focus();
    });
    return node;
  }

  showTab() {
    const home = this.tab === "home";
    fill(this.body, home ? this.home : [this.list.frame, this.composer.node]);
    if (home) this.drawHome();
  }

  setTab(tab) {
    if (this.tab === tab) return;
    this.tab = tab;
    this.drawHead();
    this.showTab();
    this.update();
  }

  update() {
    if (this.tab === "home") return;
    const messages = this.store.roots(this.channel.id);
    this.list.update(messages);
    this.drawBefore(messages.length === 0);
  }

  drawHome() {
    const view = this.store.home;
    if (view?.blocks?.length) {
      if (this.home.firstElementChild?.classList.contains("empty")) fill(this.home);
      drawBlocks(this.app, this.home, view.blocks, { view_id: view.id });
    } else {
      fill(this.home, h("p", { class: "empty" }, `${this.store.assistant.name || "The app"} has not published a Home page yet.`));
    }
  }

  drawBefore(isEmpty) {
    const { store, channel } = this;
    if (!store.loaded.has(channel.id)) return;
    const stamp = JSON.stringify([isEmpty, store.prompts]);
    if (stamp === this.beforeStamp) return;
    this.beforeStamp = stamp;
    fill(this.list.before, this.isDm ? this.welcome(isEmpty) : h("div", { class: "channel-start" },
      h("h2", {}, icon(channel.kind === "private" ? "lock" : "hash"), channel.name),
      h("p", { class: "quiet" }, `This is where ${channel.kind === "private" ? "the private channel" : "the channel"} begins. Mention @${store.assistant.name} to ask something here.`)));
    this.list.toEnd();
  }

  welcome(isEmpty) {
    const { store } = this;
    const { title, prompts } = store.prompts;
    return h("div", { class: isEmpty ? "welcome" : "channel-start" },
      isEmpty && avatar({ color: "var(--accent)", isBot: true }, "large"),
      h("h2", {}, store.assistant.name),
      h("p", { class: "quiet" }, store.assistant.description || "Ask anything. Each message starts a thread of its own."),
      isEmpty && prompts.length > 0 && h("div", { class: "prompts", role: "group", "aria-label": title || "Suggested prompts" },
        title && h("p", { class: "prompts-title" }, title),
        prompts.map((p) => h("button", { type: "button", class: "prompt", "data-testid": "prompt", onclick: () => this.usePrompt(p) },
          h("strong", {}, p.title), h("span", {}, p.message)))));
  }

  usePrompt(prompt) {
    this.composer.field.value = prompt.message;
    this.composer.changed();
    this.composer.send();
  }

  close() {
    this.list.close();
    this.node.remove();
  }
}
