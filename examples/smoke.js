// The smallest script: one wedding, one urgent message. It needs no server, rehearse() plays one.
//
//   k6 run examples/smoke.js
//   k6 run -e WEDSYNC_REGIONS="eu-west=ws://host:port/socket,us-east=ws://…" examples/smoke.js
import { Wedding, rehearse } from 'k6/x/wedsync';

export const options = {
  thresholds: {
    // Thresholds pass where there is no data: always ask for a count as well.
    wedsync_urgent_delivered: ['count>=11'],
    wedsync_urgent_lost: ['count==0'],
  },
};

export default async function () {
  const wedding = new Wedding({ regions: __ENV.WEDSYNC_REGIONS || rehearse(), token: __ENV.WEDSYNC_TOKEN, vendors: 12 });
  await wedding.arrive();

  const receipt = await wedding.urgent('planner-1', 'Ceremony moved to 4 PM: rain');
  console.log(`${receipt.delivered} of ${receipt.expected} vendors know, the slowest after ${receipt.slowestMs.toFixed(1)} ms`);

  await wedding.leave();
}
