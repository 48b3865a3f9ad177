// The wedding day: 100 weddings of 12 vendors each. Every few seconds a planner has something urgent to say, and all
// day long vendors tell each other ordinary things.
//
//   k6 run -e WEDSYNC_REGIONS="eu-west=ws://host:port/socket,us-east=ws://…,…" -e WEDSYNC_TOKEN=… scenarios/wedding-day.js
//
// The rates are schedules, not pauses: a message that goes out late is charged from the instant at which it was due.
import { randomSeed, sleep } from 'k6';
import { vu } from 'k6/execution';
import { Wedding } from 'k6/x/wedsync';

const weddings = Number(__ENV.WEDDINGS || 100);
const vendors = Number(__ENV.VENDORS || 12);
const duration = __ENV.DURATION || '60s';
const urgentEvery = __ENV.URGENT_EVERY || '5s'; // per wedding: 20 a second over 100 weddings
const updateEvery = __ENV.UPDATE_EVERY || '1s'; // per wedding
const singleHomed = Number(__ENV.SINGLE_HOMED || 0); // share of vendors with one home instead of two
const seed = Number(__ENV.SEED || 1);

// Arrivals are spread over this many seconds: nobody's wedding day begins with everybody at the door.
const arrivals = Math.min(5, weddings / 20);

export const options = {
  scenarios: {
    weddingDay: { executor: 'per-vu-iterations', vus: weddings, iterations: 1, maxDuration: '24h', gracefulStop: '30s' },
  },
  thresholds: {
    // A threshold passes where there is no data, so each lane must also show that there was some.
    wedsync_urgent_delivered: [`count>=${weddings * (vendors - 1)}`],
    wedsync_urgent_lost: ['count==0'],
    'wedsync_urgent_latency{path:live}': ['p(99)<200'],
    wedsync_update_delivered: [`count>=${weddings * (vendors - 1)}`],
    wedsync_update_lost: ['count==0'],
    wedsync_duplicates: ['count==0'],
    wedsync_strays: ['count==0'],
  },
  summaryTrendStats: ['count', 'med', 'p(99)', 'p(99.9)', 'max'],
};

const urgentNews = [
  'Ceremony moved to 4 PM: rain',
  'Power is back in the marquee',
  'Guests with a nut allergy at table 7',
  'The shuttle is stuck, arrivals 20 minutes late',
  'First dance brought forward, be ready now',
];

const ordinaryNews = ['guest_count', 'timeline_edit', 'arrived', 'photos_ready', 'delivery_note'];

const anyOf = (list) => list[Math.floor(Math.random() * list.length)];

export default async function () {
  randomSeed(seed * 1000 + vu.idInTest);
  const wedding = new Wedding({ regions: __ENV.WEDSYNC_REGIONS, token: __ENV.WEDSYNC_TOKEN, vendors, singleHomed, seed });

  sleep(((vu.idInTest - 1) / weddings) * arrivals);
  await wedding.arrive();
  await Promise.all([urgentMoments(wedding), ordinaryTalk(wedding)]);
  await wedding.leave();
}

// The planner tells everybody at once, and hears who has not got it.
async function urgentMoments(wedding) {
  const moments = wedding.schedule({ every: urgentEvery, for: duration, jitter: '500ms' });
  for (let at = await moments.next(); at !== null; at = await moments.next()) {
    wedding.urgent('planner-1', anyOf(urgentNews), { at }).then((receipt) => {
      if (receipt.missing.length > 0) {
        console.warn(`${receipt.id}: no word yet from ${receipt.missing.join(', ')} (${receipt.outcome || 'no answer yet'})`);
      }
    });
  }
}

// Somebody has something to say; nobody waits for it.
async function ordinaryTalk(wedding) {
  const moments = wedding.schedule({ every: updateEvery, for: duration, jitter: '200ms' });
  for (let at = await moments.next(), n = 1; at !== null; at = await moments.next(), n++) {
    wedding.update(anyOf(wedding.vendors), anyOf(ordinaryNews), { n, note: 'as agreed this morning' }, { at });
  }
}
