/** The stages that Dormouse reports in `server-timing`, in the order in which a query passes them. */
const STAGES = ['auth', 'cache', 'wake', 'queue', 'sql', 'total'] as const;

interface Reply {
  readonly status: string;
  readonly stages: ReadonlyMap<string, number>;
}

/** Watches the replies that the stock client gets, and keeps where the time of each query went. */
export class Timing {
  readonly rows: string[][] = [];
  #replies: Reply[] = [];

  /** For `withAccelerate({ fetch })`: the stock client shows no reply headers, its fetch does. */
  readonly fetch: typeof fetch = async (...input) => {
    const reply = await fetch(...input);
    this.#replies.push({
      status: reply.headers.get('accelerate-cache-status') ?? '',
      stages: parse(reply.headers.get('server-timing') ?? ''),
    });
    return reply;
  };

  /** Runs a query and adds its row. Several requests (a transaction) are summed up. */
  async measure<T>(label: string, query: () => Promise<T>): Promise<T> {
    const { result, replies, ms } = await this.#watch(query);
    this.#add(label, replies, ms);
    return result;
  }

  /** Asks again until the cache answers with `status`, and adds the row of that last time only. */
  async measureOnce(label: string, status: string, query: () => Promise<unknown>, patienceMs: number): Promise<void> {
    const until = performance.now() + patienceMs;
    for (;;) {
      const { replies, ms } = await this.#watch(query);
      if (replies.at(-1)?.status === status) return this.#add(label, replies, ms);
      if (performance.now() > until) throw new Error(`the cache did not answer with "${status}" in ${patienceMs} ms`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async #watch<T>(query: () => Promise<T>): Promise<{ result: T; replies: readonly Reply[]; ms: number }> {
    this.#replies = [];
    const began = performance.now();
    const result = await query();
    return { result, replies: this.#replies, ms: performance.now() - began };
  }

  #add(label: string, replies: readonly Reply[], ms: number): void {
    const cells = STAGES.map((stage) => {
      const passed = replies.filter(({ stages }) => stages.has(stage));
      if (passed.length === 0) return '·';
      return passed.reduce((sum, { stages }) => sum + (stages.get(stage) ?? 0), 0).toFixed(2);
    });
    this.rows.push([label, replies.at(-1)?.status || 'none', ...cells, ms.toFixed(2)]);
  }

  /** The rows so far, aligned: words to the left, numbers to the right. */
  table(): string {
    const rows = [['QUERY', 'CACHE STATUS', ...STAGES, 'in the app'], ...this.rows];
    const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
    const line = (row: readonly string[]) =>
      row.map((cell, column) => (column < 2 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)));
    return rows.map((row) => `  ${line(row).join('  ')}`).join('\n');
  }
}

/** `auth;dur=0.01, sql;dur=0.42` (W3C Server Timing) → milliseconds by stage. */
function parse(header: string): ReadonlyMap<string, number> {
  const stages = new Map<string, number>();
  for (const match of header.matchAll(/([a-z]+);dur=([\d.]+)/g)) stages.set(match[1] ?? '', Number(match[2]));
  return stages;
}
