// Slow readers: a wedding day on which one vendor in twenty stops reading its sockets every now and then, as a phone
// does that has gone into a pocket. TCP fills up behind it, and the server has to live with that.
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… scenarios/slow-readers.js
//
// Proves: who does not read delays nobody else, and has everything in the end. Latencies of the slow ones themselves
// have the tag path=stalled; in a report they are the population "stalled" until they have caught up.
//
// Knobs: STALLED (0.05, share of the vendors), STALL_EVERY (15s), STALL_FOR (6s), and those of every scenario, README.md.
import { kept, number, oneEach, play, shown, text, weddings } from './lib/day.js';

const stalled = { share: number('STALLED', 0.05), every: text('STALL_EVERY', '15s'), for: text('STALL_FOR', '6s') };

export const options = {
  scenarios: { slowReaders: oneEach(weddings) },
  thresholds: { ...kept, wedsync_stalls: ['count>0'], 'wedsync_urgent_latency{path:stalled}': ['max<60000'] },
  summaryTrendStats: shown,
};

export default async function () {
  await play({ stalled });
}
