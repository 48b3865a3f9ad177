// The connection storm: while weddings go on, thousands of others come to one region within two seconds, as they do
// after a venue's network has come back. They stay for a while, hear one message, and leave; if wanted, again and again.
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… scenarios/connection-storm.js
//
// Proves: who is there does not notice (all other thresholds), and who comes gets in: wedsync_arrival_latency{party:storm}
// is the time from the instant at which somebody came to its join, the wait in the server's line included.
//
// Knobs: STORM_VENDORS (3000), STORM_WITHIN (2s), STORM_AT (15s after the start), STORM_STAY (10s), STORM_EVERY (once),
// STORM_REGION (the first), STORM_PATIENCE (60s, how long one waits to be let in), STORM_SILENCE (10s, after how long of
// it one gives a server up: these are phones with stock clients), and those of every scenario, README.md.
import { scenario } from 'k6/execution';
import { wait } from 'k6/x/wedsync';
import { duration, kept, number, oneEach, open, play, seconds, shown, text, weddings } from './lib/day.js';

const stormVendors = number('STORM_VENDORS', 3000);
const within = text('STORM_WITHIN', '2s');
const at = text('STORM_AT', '15s');
const stay = text('STORM_STAY', '10s');
const every = text('STORM_EVERY', '');
const patience = text('STORM_PATIENCE', '60s');
const silence = text('STORM_SILENCE', '10s');

// One virtual user brings a crowd: its sockets are in Go, and it has nothing to say to each of them.
const crowd = Math.min(100, stormVendors);
const crowds = Math.round(stormVendors / crowd);

export const options = {
  scenarios: {
    weddingDay: oneEach(weddings, { exec: 'weddingDay' }),
    storm: oneEach(crowds, { exec: 'storm', startTime: at, tags: { party: 'storm' } }),
  },
  thresholds: {
    ...kept,
    'wedsync_arrival_latency{party:storm}': [`max<${1000 * seconds(patience)}`],
    'wedsync_update_delivered{party:storm}': [`count>=${crowds * (crowd - 1)}`],
  },
  summaryTrendStats: shown,
};

export async function weddingDay() {
  await play();
}

export async function storm() {
  const rounds = every ? Math.max(1, Math.floor((seconds(duration) - seconds(at)) / seconds(every))) : 1;
  for (let round = 1; round <= rounds; round++) {
    const began = Date.now();
    const guests = open({
      id: `storm${round}-${scenario.iterationInTest + 1}`, regions: only(), vendors: crowd, homes: 1, singleHomed: 0, arriveTimeout: patience, silence,
    });
    await guests.arrive({ within });
    await guests.update('planner-1', 'arrived', { note: 'we are all here' });
    await wait(stay);
    await guests.leave();
    if (round < rounds && !(await wait(1000 * seconds(every) - (Date.now() - began)))) return; // the drill says stop
  }
}

// only is the region that is stormed, with all of its nodes.
function only() {
  const nodes = __ENV.WEDSYNC_REGIONS.split(',').map((part) => part.split('='));
  const region = text('STORM_REGION', nodes[0][0]);
  return { [region]: nodes.filter(([name]) => name === region).map(([, ...url]) => url.join('=')) };
}
