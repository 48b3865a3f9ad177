// The weddings as a script without the extension plays them: a virtual user with a socket per vendor.
import { scenario } from 'k6/execution';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';

const latency = new Trend('latency', true);
const received = new Counter('received');
const sockets = 12 * Number(__ENV.WEDDINGS);

export const options = {
  scenarios: { vendors: { executor: 'per-vu-iterations', vus: sockets, iterations: 1, maxDuration: '1h', gracefulStop: '5s' } },
  thresholds: { received: ['count>0'] },
};

export default function () {
  const wedding = Math.floor(scenario.iterationInTest / 12);
  const speaks = scenario.iterationInTest % 12 === 0;
  const topic = `realtime:wedding:w${wedding}`;
  const socket = new WebSocket(`${__ENV.URL}/websocket?vsn=2.0.0`);
  socket.onopen = () => {
    socket.send(JSON.stringify(['1', '1', topic, 'phx_join', { config: { broadcast: { ack: true, self: false }, presence: { key: '' }, private: false } }]));
    setInterval(() => socket.send(JSON.stringify([null, 'h', 'phoenix', 'heartbeat', {}])), 25000);
  };
  socket.onmessage = ({ data }) => {
    const [, ref, , event, payload] = JSON.parse(data);
    if (event === 'broadcast') {
      latency.add(Date.now() - payload.payload.at);
      received.add(1);
    } else if (event === 'phx_reply' && ref === '1' && speaks) { // the answer to the join; messages have refs from 2 on
      let n = 0;
      setInterval(() => {
        const said = { at: Date.now(), n: n++, note: 'The ceremony moves to 4 PM because of the rain: please confirm.' };
        socket.send(JSON.stringify(['1', `${n + 1}`, topic, 'broadcast', { type: 'broadcast', event: 'note', payload: said }]));
      }, Number(__ENV.EVERY_MS));
    }
  };
}
