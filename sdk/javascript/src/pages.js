/** Lists that come in pages, read to their end. */

import { answer } from "./answers.js";

/**
 * The rows called `name` of every page, `limit` at most, all for null. A page has `most` rows at the most.
 *
 * @returns {Promise<object[]>}
 */
export async function pages(transport, path, name, query, { limit = null, most, ...call }) {
  const rows = [];
  let cursor = null;
  for (;;) {
    const wanted = limit === null ? most : Math.min(most, limit - rows.length);
    if (wanted < 1) return rows;
    const asked = { ...call, query: { ...query, limit: wanted, cursor }, isRepeatable: true };
    const page = (await transport.request("GET", path, asked)).json;
    rows.push(...page[name].map(answer));
    cursor = page.next_cursor ?? null;
    if (cursor === null) return rows;
  }
}
