// The wedding day: 100 weddings of 12 vendors each. Every few seconds a planner has something urgent to say, and all
// day long vendors tell each other ordinary things.
//
//   k6 run -e WEDSYNC_REGIONS="eu-west=ws://host:port/socket,us-east=ws://…,…" -e WEDSYNC_TOKEN=… scenarios/wedding-day.js
//
// Proves: nobody misses anything, and what is urgent is there within 200 ms. Knobs: those of every scenario, README.md.
import { kept, oneEach, play, shown, weddings } from './lib/day.js';

export const options = {
  scenarios: { weddingDay: oneEach(weddings) },
  thresholds: kept,
  summaryTrendStats: shown,
};

export default async function () {
  await play();
}
