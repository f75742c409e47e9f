import type { Bench } from './bench.js';
import { printTable } from './report.js';
import { makeSingleUserPostgres, type SingleUserPostgres } from './single-user-postgres.js';

const ROWS = 1300;
const BULK_ROWS = 1000;
const SCOPES = ['int', 'uuid', 'bool', 'enum', 'text'] as const;

/** A statement, and how often it runs in the shorter and in the longer of two processes. */
interface Measured {
  readonly prepare: (table: string) => string;
  readonly execute: (turn: number) => string;
  readonly turns: readonly [number, number];
}

const eachRow = (prepare: (table: string) => string): Measured => ({
  prepare: (table) => `prepare w (int) as ${prepare(table)}`,
  execute: (turn) => `execute w (${turn})`,
  turns: [300, ROWS],
});

const UPDATE = eachRow((table) => `update ${table} set n = n + 1 where id = $1`);
const INSERT = eachRow((table) => `insert into ${table} (id) values (10000 + $1)`);
const DELETE = eachRow((table) => `delete from ${table} where id = $1`);
const MOVE = eachRow((table) => `update ${table} set int = int + 1 where id = $1`);
const NEW_KEY = eachRow((table) => `update ${table} set id = 10000 + id where id = $1`);
const BULK: Measured = {
  prepare: (table) => `prepare w as update ${table} set n = n + 1`,
  execute: () => 'execute w',
  turns: [3, 13],
};
const LEADER_IS_IDLE = `select setval('change_feed.leader_idle', extract(epoch from clock_timestamp())::int8)`;

/** Counts the instructions that a writer pays for a statement more than on an unwatched table: no neighbour disturbs them. */
export const instructions: Bench = {
  name: 'instructions',
  about: 'what a statement on a watched table costs more than on an unwatched one, in instructions (needs valgrind)',
  run: async ({ scale }) => {
    const postgres = await makeSingleUserPostgres(setUp());
    try {
      console.log(`${postgres.version}\n`);
      const each = await singleRows(postgres, SCOPES.slice(0, scale(SCOPES.length, 1)));
      printTable(['statement', 'unwatched', 'more where watched', 'at most', 'than without a scope'], each);
      printTable(
        [`one UPDATE of ${BULK_ROWS} rows`, 'unwatched, a row', 'more where watched'],
        await manyRows(postgres),
      );
    } finally {
      await postgres.remove();
    }
  },
};

/** Tables with the same columns: unwatched, watched, and with a scope of each type. */
function setUp(): string {
  const table = (name: string, rows: number, text = 'x') => `
    create table ${name} (id int primary key, n int not null default 0, int int default 7, bool bool default true,
      uuid uuid default '${'a'.repeat(32)}', enum mood default 'good', text text default '${text}');
    alter table ${name} alter text set storage plain;
    insert into ${name} (id) select generate_series(1, ${rows});`;
  const both = (width: string, rows: number, text?: string) =>
    `${table(`unwatched_${width}`, rows, text)} ${table(`watched_${width}`, rows, text)}
      select change_feed.watch('watched_${width}');`;
  return `create type mood as enum ('good', 'bad');
    ${both('one', ROWS)} ${both('narrow', BULK_ROWS)} ${both('wide', BULK_ROWS, 'x'.repeat(1000))}
    ${SCOPES.map((scope) => `${table(`by_${scope}`, ROWS)} select change_feed.watch('by_${scope}', scopes => '{${scope}}');`).join('')}`;
}

/** Instructions of one run of the statement, without what the process needs to start and to end. */
async function costOf(postgres: SingleUserPostgres, statement: Measured, table: string, first: readonly string[] = []) {
  const { prepare, execute, turns } = statement;
  const [fewer, more] = [
    await postgres.count([
      ...first,
      prepare(table),
      ...Array.from({ length: turns[0] }, (_, turn) => execute(turn + 1)),
    ]),
    await postgres.count([
      ...first,
      prepare(table),
      ...Array.from({ length: turns[1] }, (_, turn) => execute(turn + 1)),
    ]),
  ];
  return (more - fewer) / (turns[1] - turns[0]);
}

async function singleRows(postgres: SingleUserPostgres, scopes: readonly (typeof SCOPES)[number][]) {
  const rows: string[][] = [];
  const bare = new Map<Measured, number>();
  const measure = async (
    name: string,
    statement: Measured,
    table: string,
    { most, without, first }: { most?: number; without?: number; first?: readonly string[] } = {},
  ) => {
    const unwatched = bare.get(statement) ?? (await costOf(postgres, statement, 'unwatched_one'));
    bare.set(statement, unwatched);
    const more = (await costOf(postgres, statement, table, first)) - unwatched;
    const than =
      without === undefined ? '' : `${more < without ? '' : '+'}${(100 * (more / without - 1)).toFixed(1)} %`;
    rows.push([name, whole(unwatched), whole(more), most === undefined ? '' : whole(most), than]);
    return more;
  };
  const update = await measure('UPDATE', UPDATE, 'watched_one', { most: 105_000 });
  const insert = await measure('INSERT', INSERT, 'watched_one', { most: 101_000 });
  const remove = await measure('DELETE', DELETE, 'watched_one', { most: 106_000 });
  for (const scope of scopes) {
    const share = scope === 'text' ? 1.25 : 1.15;
    const limits = (without: number) => ({ most: share * without, without });
    await measure(`UPDATE, a scope of ${scope}`, UPDATE, `by_${scope}`, limits(update));
    if (scope !== 'int' && scope !== 'text') continue;
    await measure(`INSERT, a scope of ${scope}`, INSERT, `by_${scope}`, limits(insert));
    await measure(`DELETE, a scope of ${scope}`, DELETE, `by_${scope}`, limits(remove));
  }
  await measure('UPDATE that moves a row to another scope', MOVE, 'by_int', { without: update });
  await measure('UPDATE of a key', NEW_KEY, 'watched_one', { without: update });
  await measure('UPDATE while the leader is idle', UPDATE, 'watched_one', { without: update, first: [LEADER_IS_IDLE] });
  return rows;
}

async function manyRows(postgres: SingleUserPostgres): Promise<string[][]> {
  const rows: string[][] = [];
  for (const width of ['narrow', 'wide']) {
    const unwatched = (await costOf(postgres, BULK, `unwatched_${width}`)) / BULK_ROWS;
    const watched = (await costOf(postgres, BULK, `watched_${width}`)) / BULK_ROWS;
    rows.push([`${width} rows`, whole(unwatched), whole(watched - unwatched)]);
  }
  return rows;
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en');
}
