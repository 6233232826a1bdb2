import type { Loose } from '../test/support/clients.ts';
import { ROWS } from './stage.ts';

/**
 * What an app asks for, as it writes it. `turn` varies the parameters. A unit of several queries is asked one after the
 * other.
 */
export interface Workload {
  readonly name: string;
  readonly calls: readonly ((prisma: Loose, turn: number) => Promise<unknown>)[];
  /** In one interactive transaction. */
  readonly inTransaction?: boolean;
  /** Its queries by the driver alone, with named statements. */
  readonly driver: readonly ((run: DriverRun, turn: number) => Promise<unknown>)[];
}

/** Runs one named statement. */
export type DriverRun = (name: string, text: string, values: readonly unknown[]) => Promise<{ rows: Loose[] }>;

const COLUMNS =
  'id, title, body, published, views, rating, written_at AS "writtenAt", author_id AS "authorId", reviewer_id AS "reviewerId"';
const USER_COLUMNS =
  'id, email, name, role::text, tags, scores, settings, created_at AS "createdAt", updated_at AS "updatedAt", manager_id AS "managerId"';
const after = (turn: number): number => (turn * 7) % (ROWS - 20);
const one = (turn: number): number => 1 + ((turn * 13) % ROWS);
const user = (turn: number): number => (turn * 7) % 80;

const findMany = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.post.findMany({ where: { id: { gt: after(turn) } }, orderBy: { id: 'asc' }, take: 10 });
const findUnique = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.post.findUnique({ where: { id: one(turn) } });
const include =
  (relationLoadStrategy: string) =>
  (prisma: Loose, turn: number): Promise<unknown> =>
    prisma.user.findMany({
      where: { id: { gt: user(turn) } },
      orderBy: { id: 'asc' },
      take: 5,
      relationLoadStrategy,
      include: { posts: { orderBy: { id: 'asc' } } },
    });
const create = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.membership.create({ data: { org: `org ${Math.random()}`, userId: 1 + (turn % 100) } });
const update = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.post.update({ where: { id: one(turn) }, data: { views: turn } });
const count = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.post.count({ where: { id: { gt: after(turn) } } });
const findUser = (prisma: Loose, turn: number): Promise<unknown> =>
  prisma.user.findUnique({ where: { id: 1 + (turn % 100) } });

const driverFindMany = (run: DriverRun, turn: number): Promise<unknown> =>
  run('many', `SELECT ${COLUMNS} FROM posts WHERE id > $1 ORDER BY id ASC LIMIT $2`, [after(turn), 10]);
const driverFindUnique = (run: DriverRun, turn: number): Promise<unknown> =>
  run('one', `SELECT ${COLUMNS} FROM posts WHERE id = $1 LIMIT $2`, [one(turn), 1]);
const driverUpdate = (run: DriverRun, turn: number): Promise<unknown> =>
  run('update', `UPDATE posts SET views = $1 WHERE id = $2 RETURNING ${COLUMNS}`, [turn, one(turn)]);
const driverCount = (run: DriverRun, turn: number): Promise<unknown> =>
  run('count', 'SELECT count(*) FROM posts WHERE id > $1', [after(turn)]);
const driverUser = (run: DriverRun, turn: number): Promise<unknown> =>
  run('user', `SELECT ${USER_COLUMNS} FROM users WHERE id = $1`, [1 + (turn % 100)]);
const driverIncludeJoin = (run: DriverRun, turn: number): Promise<unknown> =>
  run(
    'include',
    `SELECT ${USER_COLUMNS}, p.posts FROM users u LEFT JOIN LATERAL (
       SELECT coalesce(jsonb_agg(jsonb_build_object('id', id, 'title', title, 'body', body, 'published', published, 'views', views,
         'rating', rating, 'writtenAt', written_at, 'authorId', author_id, 'reviewerId', reviewer_id) ORDER BY id), '[]') AS posts
       FROM posts WHERE author_id = u.id) p ON true
     WHERE u.id > $1 ORDER BY u.id ASC LIMIT $2`,
    [user(turn), 5],
  );
const driverIncludeQuery = async (run: DriverRun, turn: number): Promise<unknown> => {
  const { rows } = await run('users', `SELECT ${USER_COLUMNS} FROM users WHERE id > $1 ORDER BY id ASC LIMIT $2`, [
    user(turn),
    5,
  ]);
  const ids = rows.map(({ id }) => id);
  const posts = await run('posts', `SELECT ${COLUMNS} FROM posts WHERE author_id = ANY($1) ORDER BY id ASC`, [ids]);
  const byAuthor = new Map<number, Loose[]>(ids.map((id) => [id, []]));
  for (const post of posts.rows) byAuthor.get(post.authorId)?.push(post);
  return rows.map((row) => ({ ...row, posts: byAuthor.get(row.id) }));
};
const driverCreate = (run: DriverRun, turn: number): Promise<unknown> =>
  run('create', 'INSERT INTO memberships (org, user_id, level) VALUES ($1, $2, $3) RETURNING org, user_id, level', [
    `org ${Math.random()}`,
    1 + (turn % 100),
    1,
  ]);
const statement = (text: string) => (run: DriverRun) => run('', text, []);

export const WORKLOADS: readonly Workload[] = [
  { name: 'findMany of 10 rows', calls: [findMany], driver: [driverFindMany] },
  { name: 'findUnique', calls: [findUnique], driver: [driverFindUnique] },
  { name: 'include, join', calls: [include('join')], driver: [driverIncludeJoin] },
  { name: 'include, query', calls: [include('query')], driver: [driverIncludeQuery] },
  { name: 'create', calls: [create], driver: [driverCreate] },
  { name: 'update', calls: [update], driver: [driverUpdate] },
  {
    name: 'page of five queries',
    calls: [findUser, findMany, count, findUnique, include('join')],
    driver: [driverUser, driverFindMany, driverCount, driverFindUnique, driverIncludeJoin],
  },
  {
    name: 'interactive transaction',
    calls: [findUnique, update],
    inTransaction: true,
    driver: [statement('BEGIN'), driverFindUnique, driverUpdate, statement('COMMIT')],
  },
];

export function workloadNamed(name: string): Workload {
  const found = WORKLOADS.find((workload) => workload.name === name);
  if (found === undefined) throw new Error(`no workload ${name}`);
  return found;
}

/** Runs a workload by a client in this process. */
export async function runByClient({ calls, inTransaction }: Workload, prisma: Loose, turn: number): Promise<void> {
  if (inTransaction === true) {
    await prisma.$transaction(async (transaction: Loose) => {
      for (const call of calls) await call(transaction, turn);
    });
  } else {
    for (const call of calls) await call(prisma, turn);
  }
}
