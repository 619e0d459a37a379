import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureNaming } from './failures.js';
import { measureWatching, type Watching } from './watching.js';

/**
 * `npm run bench [-- --jobs 10,100,1000] [--hosts 10] [--json FILE]`: how soon failures on hosts are named, and what it costs to watch live
 * commands there, as tables, and as JSON. Without --jobs only the former, by `--jobs ''`.
 */
const { values } = parseArgs({
  options: {
    jobs: { type: 'string', default: '10,100,1000' },
    hosts: { type: 'string', default: '10' },
    json: { type: 'string', default: 'bench.json' },
  },
});

const naming = await measureNaming();
console.table(naming.map((row) => ({ ...row, seconds: row.seconds.toFixed(1) })));
const results: Watching[] = [];
for (const jobs of values.jobs.split(',').filter((text) => text !== ''))
  results.push(await measureWatching(Number(jobs), Number(values.hosts)));
writeFileSync(values.json, `${JSON.stringify({ naming, watching: results }, undefined, 2)}\n`);
console.table(
  results.map(({ jobs, start_seconds, cores, worker_rss_mb, temporal_rss_mb, latency_seconds, missed }) => ({
    jobs,
    'start s': start_seconds.toFixed(0),
    'cores, all': cores.all.toFixed(2),
    worker: cores.worker.toFixed(2),
    ansible: cores.ansible.toFixed(2),
    temporal: cores.temporal.toFixed(2),
    'worker MB': worker_rss_mb,
    'temporal MB': temporal_rss_mb,
    'latency p50 s': latency_seconds.p50.toFixed(1),
    'p95 s': latency_seconds.p95.toFixed(1),
    missed,
  })),
);
console.log(`as JSON in ${values.json}`);
