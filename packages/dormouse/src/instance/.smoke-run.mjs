import { execFileSync } from 'node:child_process';
import pg from 'pg';
import { openInstances } from './.smoke.mjs';

const data = process.argv[2] ?? '/tmp/inst/data';
const t = async (n, f) => {
  const s = performance.now();
  const r = await f();
  console.log(n, (performance.now() - s).toFixed(1));
  return r;
};
const inst = await t('open', () =>
  openInstances({ dataDirectory: data, freezer: process.argv[3], logger: { log: (...a) => console.log('LOG', ...a) } }),
);
console.log(await t('prepare', () => inst.prepare(console.log)));
console.log(await t('recover', () => inst.recover([])));
const mk = (i) => ({ id: 'db_' + String(i).padStart(20, 'a'), name: 'x', pgMajor: 18, createdAtMs: 0 });
const dl = { remainingMs: () => 30000 };
for (let i = 0; i < 4; i++) {
  const db = await t('create', () => inst.create(mk(i)));
  const h = await t('start', () => db.hold(dl));
  const c = new pg.Client({ host: db.endpoint.path.replace(/\/[^/]+$/, ''), user: 'owner', database: 'postgres' });
  await t('connect+query', async () => {
    await c.connect();
    await c.query('select 1');
  });
  await c.query('create table t(id serial primary key, v text)');
  h.release();
  await t('suspend', () => db.suspend());
  for (let k = 0; k < 3; k++) {
    await t('wake', async () => {
      const h = await db.hold(dl);
      await c.query('select 1');
      h.release();
    });
    await t('suspend', () => db.suspend());
  }
  const cp = execFileSync('du', ['-s', '--apparent-size', inst.directory(db.databaseId)]).toString();
  const pid = JSON.parse(execFileSync('cat', [inst.directory(db.databaseId) + '/process.json'])).pid;
  const kids = execFileSync('cat', [`/proc/${pid}/task/${pid}/children`])
    .toString()
    .trim()
    .split(' ');
  let pss = 0;
  for (const p of [pid, ...kids])
    pss += Number(/^Pss:\s+(\d+)/m.exec(execFileSync('cat', [`/proc/${p}/smaps_rollup`]))[1]);
  console.log('procs', kids.length + 1, 'pss kB', pss);
  c.on('error', () => {});
  await t('stop', () => db.stop());
  await t('start+connect+query', async () => {
    const h = await db.hold(dl);
    const c = new pg.Client({ host: db.endpoint.path.replace(/\/[^/]+$/, ''), user: 'writer', database: 'postgres' });
    await c.connect();
    await c.query('select 1');
    await c.query('insert into t(v) values(1)');
    h.release();
    await c.end();
  });
  await t('stop', () => db.stop());
  console.log(
    execFileSync('du', ['-sk', inst.directory(db.databaseId)])
      .toString()
      .trim(),
  );
  await t('destroy', () => inst.destroy(db.databaseId));
}
await t('close', () => inst.close());
