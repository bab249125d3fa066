// What stands in the inputs of each message and view, in the shape of Slack's state.values.

const placeKey = (place) => place.view_id || `${place.channel}:${place.message_ts}`;

/** Values by place, block and action; a value a person gave survives a redraw of its block. */
export class Values {
  constructor() {
    this.places = new Map();
  }

  of(place) {
    const key = placeKey(place);
    if (!this.places.has(key)) this.places.set(key, {});
    return this.places.get(key);
  }

  get(place, block, action) {
    return this.of(place)[block]?.[action];
  }

  set(place, block, action, value) {
    const all = this.of(place);
    all[block] ??= {};
    all[block][action] = value;
  }

  /** The value known for an element, or its initial one, which is then remembered. */
  begin(place, block, action, initial) {
    const known = this.get(place, block, action);
    if (known) return known;
    this.set(place, block, action, initial);
    return initial;
  }

  forget(place) {
    this.places.delete(placeKey(place));
  }

  /** Only the blocks that are shown now: a block that an update took away no longer counts. */
  shown(place, blocks) {
    const ids = new Set(blocks.map((b) => b.block_id));
    return Object.fromEntries(Object.entries(this.of(place)).filter(([id]) => ids.has(id)));
  }
}
