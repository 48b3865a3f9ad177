// The photo flood: a wedding day on which photographers upload pictures all the time, ten for every ordinary message.
//
//   k6 run -e WEDSYNC_REGIONS=… -e WEDSYNC_TOKEN=… scenarios/photo-upload-flood.js
//
// Proves: whatever waits behind the photos, nothing urgent or ordinary waits for them. Photos go on the bulk lane, which
// is shed where there is no room for it: wedsync_bulk_shed counts how many, and has no threshold.
//
// Knobs: BULK_EVERY (100ms, per wedding), BULK_BYTES (4096), and those of every scenario, README.md. Mind the product:
// 100 weddings × 10 a second × 11 recipients × 2 homes × 4 KiB are 86 MiB a second through the servers' sockets.
import { duration, kept, number, oneEach, play, shown, text, weddings } from './lib/day.js';

const bulkEvery = text('BULK_EVERY', '100ms');
const bulkBytes = number('BULK_BYTES', 4096);

export const options = {
  scenarios: { photoUploadFlood: oneEach(weddings) },
  thresholds: { ...kept, wedsync_bulk_sent: [`count>=${10 * weddings}`], wedsync_bulk_delivered: ['count>0'] },
  summaryTrendStats: shown,
};

export default async function () {
  await play({ also: [photos] });
}

// Whoever takes pictures sends them; nobody waits for them.
async function photos(wedding) {
  const photographers = wedding.vendors.filter((v) => /photo|video/.test(v.type));
  const from = photographers.length > 0 ? photographers : wedding.vendors;
  await wedding.flood({ from, event: 'photo', payload: { bytes: bulkBytes }, every: bulkEvery, for: duration });
}
