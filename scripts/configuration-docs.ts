// Writes docs/configuration.md from the schema in src/config.ts; with --check, only says whether it is current.
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { environment, packageRoot } from '../src/config.js';

const file = join(packageRoot(), 'docs', 'configuration.md');
const wanted = configurationPage();

if (!process.argv.includes('--check')) {
  writeFileSync(file, wanted);
} else if (!existsSync(file) || readFileSync(file, 'utf8') !== wanted) {
  console.error('docs/configuration.md is not what src/config.ts says. Run npm run docs and commit the result.');
  process.exitCode = 1;
}

function configurationPage(): string {
  const { properties } = z.toJSONSchema(environment, { io: 'input' }) as unknown as {
    properties: Record<string, Variable>;
  };
  const rows = Object.entries(properties).map(
    ([name, { description, default: standard, allowed }]) =>
      `| \`${name}\` | ${standard === undefined ? 'unset' : `\`${standard}\``} | ${allowed} | ${description} |`,
  );
  return `# Configuration

<!-- Made from src/config.ts by npm run docs. -->

Longhaul is configured by environment variables alone. Relative paths start at Longhaul's own folder, durations are seconds, and an
empty value counts as unset. A value that can't be used stops the start with a message that says what is allowed.

| Variable | Default | Allowed | Meaning |
| --- | --- | --- | --- |
${rows.join('\n')}

Set-up (\`npm start\`, \`npm test\`, \`npm run setup\`) reads one more: \`PYTHON\`, the interpreter that \`.venv\` is made with. Unset: the
first of \`python3.13\`, \`python3.12\`, \`python3.11\` and \`python3\` on PATH that is Python 3.11 or newer and can make virtual
environments.
`;
}

interface Variable {
  description: string;
  default?: string | number;
  allowed: string;
}
