// What `npm start`, `npm test`, `npm run setup` and `npm run build` call. It runs before anything is installed, so everything
// in this folder needs Node's own modules only; this file and node-version.mjs must also be readable to a very old Node.
import { requireNode } from './node-version.mjs';

requireNode(process.versions.node);

const mode = process.argv[2];
const args = process.argv.slice(3);
import('./commands.mjs')
  .then((commands) => commands.run(mode, args))
  .catch((error) => {
    process.exitCode = 1;
    console.error(error.name === 'SetupError' ? error.message : error);
  });
