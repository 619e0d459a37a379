// Bundles the workflows into the file that is its argument, ahead of time: a worker then starts in a fraction of the time and memory.
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode } from '@temporalio/worker';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { code } = await bundleWorkflowCode({ workflowsPath: join(root, 'src', 'workflows', 'index.ts') });
// Every workflow in a worker's memory has its own copy of what its code loads. Schemas would be most of it, a megabyte and more.
if (code.includes('node_modules/zod/'))
  throw new Error('The workflows load zod: move what they need out of the modules with schemas');
writeFileSync(process.argv[2], code);
