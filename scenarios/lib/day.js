// A wedding day as all scenarios tell it: every few seconds a planner has something urgent to say, and all day long
// vendors tell each other ordinary things. The rates are schedules, not pauses: a message that goes out late is charged
// from the instant at which it was due.
import { randomSeed, sleep } from 'k6';
import { scenario } from 'k6/execution';
import { Wedding } from 'k6/x/wedsync';

// The knobs that every scenario has; README.md lists them.
export const weddings = number('WEDDINGS', 100);
export const vendors = number('VENDORS', 12);
export const duration = text('DURATION', '60s');
export const seed = number('SEED', 1);
const urgentEvery = text('URGENT_EVERY', '5s'); // per wedding: 20 a second over 100 weddings
const updateEvery = text('UPDATE_EVERY', '1s'); // per wedding
const singleHomed = number('SINGLE_HOMED', 0); // share of vendors with one home instead of two

export function number(name, fallback) {
  return Number(text(name, fallback));
}

export function text(name, fallback) {
  return __ENV[name] || fallback;
}

// seconds turns '1m30s' into 90.
export function seconds(duration) {
  const unit = { ms: 0.001, s: 1, m: 60, h: 3600 };
  return [...String(duration).matchAll(/([\d.]+)(ms|s|m|h)/g)].reduce((sum, [, n, u]) => sum + Number(n) * unit[u], 0);
}

// oneEach is a k6 scenario in which each of n virtual users plays its part once.
export const oneEach = (n, more = {}) => ({ executor: 'per-vu-iterations', vus: n, iterations: 1, maxDuration: '24h', gracefulStop: '30s', ...more });

// kept are the thresholds of every scenario. One passes where there is no data, so each lane must also show that there
// was some.
export const kept = {
  wedsync_urgent_delivered: [`count>=${weddings * (vendors - 1)}`],
  wedsync_urgent_lost: ['count==0'],
  'wedsync_urgent_latency{path:live}': ['p(99)<200'],
  wedsync_update_delivered: [`count>=${weddings * (vendors - 1)}`],
  wedsync_update_lost: ['count==0'],
  wedsync_duplicates: ['count==0'],
  wedsync_strays: ['count==0'],
};

export const shown = ['count', 'med', 'p(99)', 'p(99.9)', 'max'];

// Arrivals are spread over this many seconds: nobody's wedding day begins with everybody at the door.
const arrivals = Math.min(5, weddings / 20);

// open makes the wedding of the virtual user that calls it; nobody has arrived yet.
export function open(options = {}) {
  const index = scenario.iterationInTest;
  randomSeed(seed * 1000 + index + 1);
  return new Wedding({
    regions: __ENV.WEDSYNC_REGIONS, token: __ENV.WEDSYNC_TOKEN, vendors, singleHomed, seed, index, ...options,
  });
}

// play opens a wedding, lets everybody arrive and talk for a time, and closes it. Also is what else happens there
// meanwhile: functions that take the wedding.
export async function play({ time = duration, also = [], ...options } = {}) {
  const wedding = open(options);
  sleep((scenario.iterationInTest / weddings) * arrivals);
  await wedding.arrive();
  await Promise.all([talk(wedding, time), ...also.map((part) => part(wedding))]);
  await wedding.leave();
}

// talk is what goes on at every wedding.
export async function talk(wedding, time) {
  await Promise.all([urgentMoments(wedding, time), ordinaryTalk(wedding, time)]);
}

const urgentNews = [
  'Ceremony moved to 4 PM: rain',
  'Power is back in the marquee',
  'Guests with a nut allergy at table 7',
  'The shuttle is stuck, arrivals 20 minutes late',
  'First dance brought forward, be ready now',
];

const ordinaryNews = ['guest_count', 'timeline_edit', 'arrived', 'photos_ready', 'delivery_note'];

const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

// No moment may be moved past its neighbours.
const jitter = (every, ms) => Math.min(1000 * seconds(every), ms);

// The planner tells everybody at once, and hears who has not got it.
async function urgentMoments(wedding, time) {
  const moments = wedding.schedule({ every: urgentEvery, for: time, jitter: jitter(urgentEvery, 500) });
  for (let at = await moments.next(); at !== null; at = await moments.next()) {
    wedding.urgent('planner-1', anyOf(urgentNews), { at }).then((receipt) => {
      if (receipt.missing.length > 0) {
        console.warn(`${receipt.id}: no word yet from ${receipt.missing.join(', ')} (${receipt.outcome || 'no answer yet'})`);
      }
    });
  }
}

// Somebody has something to say; nobody waits for it.
async function ordinaryTalk(wedding, time) {
  const moments = wedding.schedule({ every: updateEvery, for: time, jitter: jitter(updateEvery, 200) });
  for (let at = await moments.next(), n = 1; at !== null; at = await moments.next(), n++) {
    wedding.update(anyOf(wedding.vendors), anyOf(ordinaryNews), { n, note: 'as agreed this morning' }, { at });
  }
}
