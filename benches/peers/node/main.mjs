// libwebrtc ("wrtc") or libdatachannel ("libdatachannel"), by the first argument, as a peer of the benchmarks: JSON
// lines on standard input and output, see src/pair/mod.rs. The second argument is the folder of the packages.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const [, , library, packages] = process.argv;
const require = createRequire(pathToFileURL(`${packages}/`));
const { RTCPeerConnection } =
  library === 'wrtc' ? require('@roamhq/wrtc') : (await import(pathToFileURL(require.resolve('node-datachannel/polyfill')))).default;

// What a sender may have buffered, as in src/pair/mod.rs.
const highWater = 1 << 20;

const turn = () => new Promise((resolve) => setImmediate(resolve));
// Candidates are told as they are found: to wait for all of them takes one of the libraries a tenth of a second. The
// other does not take any before the description.
const trickle = (from, to) => {
  const early = [];
  const add = (candidate) => to.addIceCandidate(candidate).catch(() => {});
  from.onicecandidate = ({ candidate }) => {
    if (!candidate) return;
    if (to.remoteDescription) void add(candidate);
    else early.push(candidate);
  };
  return () => early.splice(0).forEach((candidate) => void add(candidate));
};

const connect = async () => {
  const [alice, bob] = [0, 1].map(() => new RTCPeerConnection({ iceServers: [] }));
  const pair = { peers: [alice, bob], received: 0, expected: 0, arrived: undefined };
  pair.out = alice.createDataChannel('data');
  const open = new Promise((resolve) => {
    pair.out.onopen = resolve;
  });
  bob.ondatachannel = ({ channel }) => {
    // What is dropped is garbage, and the channel with it.
    pair.incoming = channel;
    channel.binaryType = 'arraybuffer';
    channel.onmessage = () => {
      pair.received += 1;
      if (pair.received === pair.expected) pair.arrived();
    };
  };
  const toBob = trickle(alice, bob);
  const toAlice = trickle(bob, alice);
  const offer = await alice.createOffer();
  await alice.setLocalDescription(offer);
  await bob.setRemoteDescription(offer);
  toBob();
  const answer = await bob.createAnswer();
  await bob.setLocalDescription(answer);
  await alice.setRemoteDescription(answer);
  toAlice();
  await open;
  return pair;
};

const send = async (pair, size, count) => {
  const all = new Promise((resolve) => {
    pair.arrived = resolve;
  });
  pair.expected += count;
  const message = new Uint8Array(size).fill(7);
  for (let sent = 0; sent < count; ) {
    // Pumped from a timer: `bufferedamountlow` comes too late in one of the libraries.
    if (pair.out.bufferedAmount < highWater) {
      pair.out.send(message);
      sent += 1;
    } else {
      await new Promise((resolve) => setTimeout(resolve, 1));
    }
  }
  await all;
};

const close = async (pair) => {
  pair.peers.forEach((peer) => peer.close());
  await turn();
};

let kept;
const held = [];
const requests = {
  async set_up({ count }) {
    const milliseconds = [];
    for (let i = 0; i < count; i += 1) {
      const begin = performance.now();
      const pair = await connect();
      milliseconds.push(performance.now() - begin);
      await close(pair);
    }
    return { milliseconds };
  },
  async send({ size, count }) {
    kept ??= await connect();
    const begin = performance.now();
    await send(kept, size, count);
    return { seconds: (performance.now() - begin) / 1e3 };
  },
  async hold({ count }) {
    for (let i = 0; i < count; i += 1) held.push(await connect());
    return {};
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  process.stdout.write(`${JSON.stringify(await requests[request.do](request))}\n`);
}
process.exit(0);
