const least = [20, 19];

/** Ends the process with a message when this Node is too old. No syntax newer than ES2015 here: an old Node must reach it. */
export function requireNode(version) {
  const parts = version.split('.').map(Number);
  if (parts[0] > least[0] || (parts[0] === least[0] && parts[1] >= least[1])) return;
  console.error(
    'Longhaul needs Node.js ' +
      least.join('.') +
      ' or newer; this is ' +
      version +
      ' (' +
      process.execPath +
      ').\n' +
      'Install a newer one from https://nodejs.org/ or your distribution, and run the command again.',
  );
  process.exit(1);
}
