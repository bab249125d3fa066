// Which function draws which block; and keeping the drawn blocks of a message when they did not change.

import { h } from "../dom.js";
import { renderMarkdown } from "../markdown.js";
import { renderRichText } from "../richtext.js";
import { taskCard, plan, contextActions } from "./agent.js";
import { actions, input } from "./interactive.js";
import { alertBlock, card, carousel, container } from "./layout.js";
import { context, file, header, image, section, unknown, video } from "./basic.js";
import { dataTable, table } from "./tables.js";
import { dataVisualization } from "./charts.js";

const RENDERERS = {
  section, header, image, context, video, file, table, plan, card, carousel, container, actions, input,
  alert: alertBlock,
  divider: () => h("hr"),
  markdown: (cx, block) => h("div", { class: "markdown" }, renderMarkdown(cx.store, block.text)),
  rich_text: (cx, block) => renderRichText(cx.store, block),
  task_card: taskCard,
  context_actions: contextActions,
  data_table: dataTable,
  data_visualization: dataVisualization,
};

/** One block as a node. A block that cannot be drawn becomes a quiet note, never an empty page. */
export function renderBlock(cx, block, index) {
  const blockId = block.block_id || `block-${index}`;
  const inner = { ...cx, blockId };
  let node;
  try {
    node = (RENDERERS[block.type] || unknown)(inner, block);
  } catch (error) {
    console.warn("block not drawn", block.type, error);
    node = unknown(inner, block);
  }
  return h("div", { class: `block block-${block.type}`, dataset: { blockId, blockType: block.type } }, node);
}

/** Make `host` show exactly these blocks, redrawing only those that changed. */
export function drawBlocks(app, host, blocks, place) {
  const cx = { app, store: app.store, place, renderBlock };
  blocks.forEach((block, i) => {
    const stamp = JSON.stringify(block);
    const old = host.children[i];
    if (old?.stamp === stamp) return;
    const node = renderBlock(cx, block, i);
    node.stamp = stamp;
    if (old) old.replaceWith(node);
    else host.append(node);
  });
  while (host.children.length > blocks.length) host.lastElementChild.remove();
}
