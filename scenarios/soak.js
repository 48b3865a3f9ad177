// The soak: the same wedding day for as long as it takes to see a leak.
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… -e DURATION=30m scenarios/soak.js
//
// Proves: what holds for a minute holds for half an hour. That the servers do not grow is for the drill to see, which
// samples them (raw/nodes.jsonl); k6 itself grows, since it keeps every value of a trend for the summary.
//
// Knobs: DURATION (30m here), and those of every scenario, README.md.
import { kept, oneEach, play, shown, text, weddings } from './lib/day.js';

const lasts = text('DURATION', '30m');

export const options = {
  scenarios: { soak: oneEach(weddings) },
  thresholds: kept,
  summaryTrendStats: shown,
};

export default async function () {
  await play({ time: lasts });
}
