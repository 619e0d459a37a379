import { Command, CommanderError, Option } from 'commander';
import { ConfigError, loadConfig } from '../../config.js';
import { nameRule } from '../../job/names.js';
import { scopes } from '../../tokens/record.js';
import { TokensError } from '../../tokens/token-file.js';
import { createToken, listTokens, NoSuchToken, revokeToken } from './actions.js';
import { FileBusy } from './change.js';
import { endOf, noteOf, scopesOf, tenantOf } from './options.js';

/** Exit codes; the last two are those of sysexits (EX_TEMPFAIL, EX_CONFIG). */
const codes = { done: 0, noSuchToken: 1, usage: 2, busy: 75, configuration: 78 } as const;

const more = `
Tokens are kept, hashed, in TOKENS_FILE (default: tokens.json in DATA_DIR); a running service notices changes at once.
From the first token on every caller needs one. A tenant sees its own jobs only. Its name: ${nameRule}.

Scopes:
  jobs:read   look at jobs, playbooks and nodes
  jobs:write  submit, cancel and delete jobs
  tasks:run   with jobs:write: commands and modules on hosts, and adopted jobs
  admin       everything within its tenant

Exit codes: 0 done, 1 no such token, 2 wrong usage, 75 the file is being changed by another process, 78 the configuration or
the tokens file can't be used.

Example: npm run --silent token -- create --tenant ops --scopes jobs:read,jobs:write --expires 30d --note "nightly runs"
`;

/**
 * The command `npm run token`.
 * @param args what follows its name
 * @returns the exit code
 */
export async function token(args: readonly string[]): Promise<number> {
  try {
    await program().parseAsync(args, { from: 'user' });
    return codes.done;
  } catch (error) {
    // What commander refuses it has explained itself.
    if (error instanceof CommanderError) return error.exitCode === 0 ? codes.done : codes.usage;
    const code = codeOf(error);
    if (code === undefined) throw error;
    process.stderr.write(`${(error as Error).message}\n`);
    return code;
  }
}

function program(): Command {
  const command = new Command('npm run token --')
    .description("Makes, lists and revokes the tokens of the API's callers.")
    .helpCommand(false)
    .exitOverride()
    .showHelpAfterError('(--help tells more)')
    .addHelpText('after', more);
  command
    .command('create')
    .description('Make a token. It is printed once, alone on standard output, and can not be shown again.')
    .addOption(new Option('--tenant <name>', 'whose jobs it is for').argParser(tenantOf).makeOptionMandatory())
    .addOption(
      new Option('--scopes <list>', `what it allows, separated by commas: ${scopes.join(', ')}`)
        .argParser(scopesOf)
        .makeOptionMandatory(),
    )
    .addOption(
      new Option(
        '--expires <when>',
        'days (30d), hours (12h), minutes (90m), or a time (2027-01-31T00:00:00Z)',
      ).argParser(endOf),
    )
    .addOption(new Option('--note <text>', 'what it is for, to know it again in the list').argParser(noteOf))
    .action((options: Parameters<typeof createToken>[1]) => createToken(loadConfig(), options));
  command
    .command('list')
    .description('List the tokens, without their secrets.')
    .action(() => listTokens(loadConfig()));
  command
    .command('revoke')
    .description('Make a token worthless, at once and for good.')
    .argument('<id>', 'its id: the first part of the token after lh_')
    .action((id: string) => revokeToken(loadConfig(), id));
  return command;
}

function codeOf(error: unknown): number | undefined {
  if (error instanceof NoSuchToken) return codes.noSuchToken;
  if (error instanceof FileBusy) return codes.busy;
  return error instanceof ConfigError || error instanceof TokensError ? codes.configuration : undefined;
}
