// SPDX-License-Identifier: MIT
// A network of a test's own, where the ports that documents name are free, and nothing outside is reached.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const OWN = 'KARTA_TEST_OWN_NETWORK';
const up = (...args) => spawnSync('unshare', [...args, 'sh', '-c', 'ip link set lo up'], { stdio: 'ignore' }).status === 0;

/** True in the process that has one. The file that calls it is run again there, once, with its output handed on; a
 *  reason to skip as a string where no network can be had. */
export function ownNetwork(url) {
  if (process.env[OWN]) return true;
  const how = [['-n'], ['-rn']].find((args) => up(...args));
  if (!how) return 'no network namespace can be made here (unshare, ip)';
  const env = { ...process.env, [OWN]: '1' };
  // Else the inner one reports to the outer one, in a form that is no text.
  delete env.NODE_TEST_CONTEXT;
  const inner = spawnSync('unshare', [...how, 'sh', '-c', 'ip link set lo up && exec "$@"', 'sh', process.execPath, '--test-reporter=tap', fileURLToPath(url)],
    { stdio: 'inherit', env });
  process.exit(inner.status ?? 1);
}
