import { existsSync } from 'node:fs';
import { inspect } from 'node:util';
import { Command, InvalidArgumentError } from 'commander';
import { doctor } from './commands/doctor.js';
import { reached } from './commands/reached.js';
import { migrate, serve } from './commands/serve.js';
import { sql } from './commands/sql.js';
import { status } from './commands/status.js';
import { type TailOptions, tail } from './commands/tail.js';
import { token } from './commands/token.js';
import { unwatchTables, type WatchCommandOptions, watchAllTables, watchTables } from './commands/watch.js';
import { parseDuration } from './config.js';
import { redact } from './http/redaction.js';
import { OperatorError } from './operator-error.js';
import { packageVersion } from './package-root.js';

/**
 * Runs the command line of `pg-change-feed`, with the settings of the environment and of `.env`. A failure that the
 * operator can mend is one sentence on stderr, and exit code 1; a command that can't be understood has exit code 2.
 * @param argv as `process.argv`: two words before the command.
 */
export function runCommandLine(argv: readonly string[]): Promise<void> {
  return orExitWithSentence(async () => {
    if (existsSync('.env')) process.loadEnvFile('.env');
    await program().parseAsync(argv);
  });
}

/** A command that failed ends after this at the latest, in ms. */
const LAST_WORDS_MS = 2000;

/**
 * Runs a program. What it throws is printed on stderr, without tokens and passwords: an {@link OperatorError} as its
 * sentence, all else with its stack. The exit code is then 1.
 */
export async function orExitWithSentence(program: () => Promise<void>): Promise<void> {
  try {
    await program();
  } catch (error) {
    console.error(redact(error instanceof OperatorError ? error.message : inspect(error)));
    process.exitCode = 1;
    // Where the other side of a connection never ends it, the process would stay.
    setTimeout(() => process.exit(), LAST_WORDS_MS).unref();
  }
}

function program(): Command {
  const command = new Command('pg-change-feed')
    .description('A change feed for PostgreSQL: every committed write reaches every subscribed browser.')
    .version(packageVersion)
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
    .addHelpText('after', '\nSettings come from the environment and from .env; .env.example lists them.');

  command
    .command('serve')
    .description('serve the database of DATABASE_URL')
    .option('--migrate', 'bring it to the newest schema first', false)
    .action(serve);
  command
    .command('migrate')
    .description('make the schema change_feed in the database of DATABASE_URL, or bring it to this version')
    .option('--without-role', 'where nobody may make roles: all of it belongs to the user of DATABASE_URL')
    .action(migrate);
  command
    .command('token')
    .description('print a JWT, alone')
    .requiredOption('--sub <name>', 'who it is for')
    .option('--expires <duration>', 'how long it holds: 90s, 10min, 24h, 7d', asDuration, asDuration('1h'))
    .option(
      '--resources <names>',
      'what it may read, resources and scopes, separated by commas; * for all (default: DEFAULT_RESOURCES)',
      asNames,
    )
    .option('--monitor', 'it may use the monitor, where MONITOR is on', false)
    .action((options: { sub: string; expires: number; resources?: string[]; monitor: boolean }) =>
      token({
        sub: options.sub,
        expiresInS: options.expires,
        ...(options.resources && { resources: options.resources }),
        monitor: options.monitor,
      }),
    )
    .addHelpText(
      'after',
      '\nExample:\n  curl -N "localhost:3000/api/events?resources=*" -H "Authorization: Bearer $(pg-change-feed token --sub ada)"',
    );
  command
    .command('sql')
    .description('run SQL in the database of DATABASE_URL')
    .argument('<statements>', 'one argument: quote it')
    .action((text: string) => sql(text))
    .addHelpText('after', '\nExample:\n  pg-change-feed sql "UPDATE veranstaltung SET ort = \'Lübeck\' WHERE id = 1"');
  command
    .command('watch')
    .description('put tables into the feed: all of them, or on an error none')
    .argument('[tables...]', 'as in SQL: anmeldung, verein.mitglied, \'"Groß"\'')
    .option('--all', 'all tables that are not in it yet, instead of some')
    .option('--except <tables...>', 'of all: not these; table, schema.table or schema.*, with * for any text')
    .option('--future', 'of all: tables that are made later, too, by an event trigger')
    .option('--no-future', 'of all: those no more')
    .option('--resource <name>', "the name in the feed (default: the table's own)")
    .option('--no-keys', 'name no keys in events: where they are personal data, and for wide rows')
    .option(
      '--scope <columns>',
      'a column that parts the table, or several joined with &; may be repeated',
      appended,
      [],
    )
    .action((tables: string[], options: WatchCommandOptions & AllOptions, self: Command) => {
      const fault = watchFault(tables, options);
      if (fault) self.error(`error: ${fault}`);
      return options.all ? watchAllTables(options) : watchTables(tables, options);
    })
    .addHelpText(
      'after',
      `\nExamples:
  pg-change-feed watch veranstaltung anmeldung
  pg-change-feed watch verein.mitglied --resource verein.mitglied
  pg-change-feed watch kunde --no-keys
  pg-change-feed watch anmeldung --scope veranstaltung_id
  pg-change-feed watch --all --except 'audit.*' kysely_migration --future
  pg-change-feed watch '"Groß"'              a name in capitals: quoted as in SQL, and once more for the shell`,
    );
  command
    .command('unwatch')
    .description('take tables out of the feed: all of them, or on an error none')
    .argument('<tables...>', 'as in SQL: anmeldung, verein.mitglied, \'"Groß"\'')
    .action((tables: string[]) => unwatchTables(tables))
    .addHelpText('after', '\nExample:\n  pg-change-feed unwatch veranstaltung anmeldung');
  command
    .command('doctor')
    .description('look for whatever keeps changes from arriving, and say what to run')
    .argument('[tables...]', 'that have to be watched')
    .option('--json', 'as a JSON array', false)
    .action((tables: string[], options: { json: boolean }) => doctor(tables, options))
    .addHelpText(
      'after',
      `
Changes nothing. Exit code 0, or 1 when something fails: good for CI, after the migrations.

Examples:
  pg-change-feed doctor
  pg-change-feed doctor veranstaltung anmeldung
  pg-change-feed doctor --json | jq '.[] | select(.level == "fail")'`,
    );
  command
    .command('tail')
    .description('show the feed live, straight from the database')
    .argument('[resources...]', 'only these resources and scopes; all unless given')
    .option('--since <start>', 'begin earlier: 90s, 10m, 24h, or a position that tail has printed')
    .option('--json', 'a JSON object a line, also in a terminal', false)
    .option('--reached', 'say after each change who has received it: asks the servers', false)
    .action((resources: string[], options: TailOptions) => tail(resources, options))
    .addHelpText(
      'after',
      `
Ends with Ctrl-C, exit code 130, and says how to go on from there. Colours in a terminal only; NO_COLOR switches them off.

Examples:
  pg-change-feed tail
  pg-change-feed tail veranstaltung --since 10m
  pg-change-feed tail 'anmeldung?veranstaltung_id=7'
  pg-change-feed tail --json | jq -r .resource`,
    );
  command
    .command('status')
    .description('show which servers run, the last change of each resource, and the size of the log')
    .option('--json', 'as a JSON array', false)
    .action(status)
    .addHelpText('after', '\nThe same in psql: select * from change_feed.status');
  command
    .command('reached')
    .description('say whether the newest change has reached anyone, and on each server how many streams have it')
    .argument('[resource]', 'the newest change of it; of all unless given')
    .option('--json', 'as a JSON array', false)
    .action(reached)
    .addHelpText('after', '\nThe same in psql, for what this session changed: select * from change_feed.reached()');
  return command;
}

interface AllOptions {
  readonly all?: boolean;
  readonly except?: string[];
  readonly future?: boolean;
}

/** Finds what contradicts itself in the options of `watch`. */
function watchFault(tables: readonly string[], options: WatchCommandOptions & AllOptions): string | undefined {
  const { all, except, future, resource, scope } = options;
  if (!all && (except || future !== undefined)) return '--except and --future are for --all';
  if (!all && tables.length === 0) return 'name a table, or give --all';
  if (all && tables.length > 0) return '--all takes no tables: leave some out with --except';
  if (all && (resource !== undefined || scope.length > 0))
    return '--resource and --scope are for tables that are named';
  return undefined;
}

function asDuration(text: string): number {
  try {
    return parseDuration(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
}

function appended(text: string, before: string[]): string[] {
  return [...before, text];
}

function asNames(text: string): string[] {
  return text.split(',').map((name) => name.trim());
}
