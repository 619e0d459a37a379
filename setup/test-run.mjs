import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Runs vitest and prints `N passed, N failed` as the last line, and before it how many were skipped, if any.
 * @param args further arguments for vitest
 * @returns the exit code: vitest's own, and never 0 for a run that has no counts or has errors outside its tests
 */
export async function runTests(root, args) {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-test-'));
  const report = join(folder, 'report.json');
  try {
    const reporters = ['--reporter=default', '--reporter=json', `--outputFile.json=${report}`];
    const code = await runVitest(root, ['run', ...reporters, ...args]);
    const counts = existsSync(report)
      ? count(JSON.parse(readFileSync(report, 'utf8')))
      : { passed: 0, failed: 0, skipped: 0 };
    return conclude(code, counts);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function conclude(code, { passed, failed, skipped }) {
  const total = passed + failed + skipped;
  let problems = failed;
  if (failed === 0 && (code !== 0 || total === 0)) {
    problems = 1;
    console.log(
      `\nNot green: the runner ended with exit code ${code} after ${total} tests, none of them failed. See above.`,
    );
  }
  if (skipped > 0)
    console.log(
      `${skipped} skipped: long tests that this commit's choice leaves out (npm run chaos runs all), or what says that it needs something`,
    );
  console.log(`${passed} passed, ${problems} failed`);
  return problems > 0 && code === 0 ? 1 : code;
}

/** Counts of vitest's JSON report. A test file that could not be loaded has no tests in it; it counts as one failure. */
function count(report) {
  const broken = report.testResults.filter(
    (file) => file.status === 'failed' && !file.assertionResults.some((test) => test.status === 'failed'),
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length,
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

async function runVitest(root, args) {
  const vitest = join(root, 'node_modules', 'vitest', 'vitest.mjs');
  const child = spawn(process.execPath, [vitest, ...args], { cwd: root, stdio: 'inherit' });
  // A Ctrl-C reaches the runner by itself; it ends what its tests started, and we report what it counted.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', (signal) => child.kill(signal));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve(code ?? 1));
  });
}
