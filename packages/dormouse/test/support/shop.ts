import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CLIENTS, type ClientVersion, type Loose, type World } from './clients.ts';

const PREVIEWS = '["relationJoins", "views", "fullTextSearchPostgres", "typedSql"]';

function head(version: ClientVersion): string {
  const generator = (name: string): string =>
    `generator ${name} {\n  provider = "prisma-client-js"\n  output = "./${name}"\n  previewFeatures = ${PREVIEWS}\n}\n`;
  const url = version === 6 ? '  url = env("DATABASE_URL")\n' : '';
  return `${generator('client')}${version === 6 ? generator('oracle') : ''}
datasource db {\n  provider = "postgresql"\n${url}  schemas = ["sales", "stock"]\n}\n`;
}

/**
 * Two Postgres schemas, with what one schema alone does not meet: relations across them and names that are there twice.
 */
export const SHOP: World = {
  name: 'shop',
  schema: (version) => `${head(version)}\n${readFileSync(join(CLIENTS, 'shop.prisma'), 'utf8')}`,
  sql: () => `CREATE VIEW stock.demand AS
    SELECT i.id AS item_id, i.unit, count(l.order_id) AS orders, coalesce(sum(l.quantity), 0) AS total
    FROM stock.items i LEFT JOIN sales.lines l ON l.item_id = i.id GROUP BY i.id`,
};

/** Empties the shop and starts its sequences again, so that ids are known. */
export async function emptyShop(prisma: Loose): Promise<void> {
  await prisma.$executeRawUnsafe(
    'TRUNCATE sales.customers, sales.orders, sales.lines, sales.notes, stock.items, stock.parcels, stock.notes RESTART IDENTITY CASCADE',
  );
}

/** A plan is kept from its second use on. What a test expects must hold at every use. */
export const USES = 4;

/** Asks the same several times, in turn, and gives the one answer that all of them must have. */
export async function repeatedly<T>(ask: () => Promise<T>, equal: (left: T, right: T) => void): Promise<T> {
  const first = await ask();
  for (let use = 1; use < USES; use++) equal(await ask(), first);
  return first;
}
