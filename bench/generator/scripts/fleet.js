// The weddings as the extension plays them: one virtual user each.
import { scenario } from 'k6/execution';
import { Wedding } from 'k6/x/wedsync';

const weddings = Number(__ENV.WEDDINGS);

export const options = {
  scenarios: { weddings: { executor: 'per-vu-iterations', vus: weddings, iterations: 1, maxDuration: '1h', gracefulStop: '5s' } },
  thresholds: { wedsync_update_lost: ['count==0'], wedsync_update_delivered: ['count>0'] },
};

export default async function () {
  const wedding = new Wedding({ regions: { local: __ENV.URL }, vendors: 12, homes: 1, index: scenario.iterationInTest, parallel: 12, silence: '30s' });
  await wedding.arrive();
  const moments = wedding.schedule({ every: Number(__ENV.EVERY_MS), for: '1h' });
  for (let at = await moments.next(), n = 0; at !== null; at = await moments.next(), n++) {
    wedding.update('planner-1', 'note', { n, note: 'The ceremony moves to 4 PM because of the rain: please confirm.' }, { at });
  }
}
