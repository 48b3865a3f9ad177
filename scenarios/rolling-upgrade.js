// The rolling upgrade: a wedding day during which every node of every region is replaced, one after the other. The
// script itself only stays: replace the nodes meanwhile (wedsync cluster upgrade, or a drill with an upgrade action).
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… scenarios/rolling-upgrade.js
//
// Proves: everybody is moved to another node and nobody misses anything. wedsync_moves counts sockets that were left
// because a server asked for it, wedsync_failovers those that were lost instead.
//
// Knobs: DURATION should be longer than the upgrade (default 5m here; a drill ends it); and those of every scenario,
// README.md.
import { kept, oneEach, play, shown, text, weddings } from './lib/day.js';

const stays = text('DURATION', '5m');

export const options = {
  scenarios: { rollingUpgrade: oneEach(weddings) },
  thresholds: kept,
  summaryTrendStats: shown,
};

export default async function () {
  await play({ time: stays });
}
