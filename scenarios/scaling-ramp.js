// The ramp: the season in a few minutes. Weddings open and close so that the connections follow given levels up and down
// again; at each level the weddings that are there go on talking.
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… scenarios/scaling-ramp.js
//
// Proves, against servers that scale: more nodes come with more connections and go with them, and nobody misses anything,
// least of all on the way down.
//
// Knobs: LEVELS (500,1500,2500,4000,2500,1500,500 connections), STEP (30s, the time at each; arrivals and farewells are
// spread over half of it), and those of every scenario, README.md; WEDDINGS and DURATION follow from the levels.
import { scenario } from 'k6/execution';
import { wait } from 'k6/x/wedsync';
import { kept, number, oneEach, open, seconds, shown, talk, text, vendors } from './lib/day.js';

const levels = text('LEVELS', '500,1500,2500,4000,2500,1500,500').split(',').map(Number);
const step = 1000 * seconds(text('STEP', '30s'));
const each = Math.round(vendors * (2 - number('SINGLE_HOMED', 0))); // connections of a wedding
const parts = Math.ceil(Math.max(...levels) / each);

export const options = {
  scenarios: { scalingRamp: oneEach(parts) },
  thresholds: { ...kept, wedsync_urgent_delivered: [`count>=${parts * (vendors - 1)}`], wedsync_update_delivered: [`count>=${parts * (vendors - 1)}`] },
  summaryTrendStats: shown,
};

export default async function () {
  const part = scenario.iterationInTest;
  const shift = ((part / parts) * step) / 2;
  const start = Date.now();
  for (const [n, [from, to]] of stays(part * each).entries()) {
    if (!(await wait(Math.max(0, start + from * step + shift - Date.now())))) return; // the drill says stop
    const wedding = open({ id: `ramp${part + 1}-${n + 1}` });
    await wedding.arrive();
    await talk(wedding, Math.max(1000, start + to * step + shift - Date.now()));
    await wedding.leave();
  }
}

// stays lists the steps, from and to, at which the wedding is needed before which there are so many connections.
function stays(before) {
  const list = [];
  levels.forEach((level, i) => {
    if (level <= before) return;
    if (list.length > 0 && list[list.length - 1][1] === i) list[list.length - 1][1] = i + 1;
    else list.push([i, i + 1]);
  });
  return list;
}
