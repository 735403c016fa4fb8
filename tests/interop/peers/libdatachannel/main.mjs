// libdatachannel, as node-datachannel brings it to Node, as a peer of the tests: the commands are those of
// tests/whole_peers/peer.rs. Its own interface is used, not the W3C's over it, which has no media.
import { createInterface } from 'node:readline';
import library from 'node-datachannel';

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const connection = new library.PeerConnection('peer', {
  iceServers: [],
  disableAutoNegotiation: true,
  // Without it, a connection that began with data only never sends media.
  forceMediaTransport: true,
});
let polite = false;
let added;

// What is referred to by nothing is collected, and closed.
const kept = [];
const echo = (channel) => {
  kept.push(channel);
  const label = channel.getLabel();
  channel.onMessage((data) => {
    if (typeof data === 'string') channel.sendMessage(data);
    else channel.sendMessageBinary(Buffer.from(data));
  });
  channel.onClosed(() => say({ closed: label }));
};
connection.onDataChannel((channel) => {
  echo(channel);
  // It does not tell of a channel whether it is ordered.
  say({ channel: channel.getLabel() });
});
connection.onStateChange((state) => say({ state }));
// Packets are sent back as they are, the control packets left out (RFC 5761 §4).
const reflect = (track) => {
  kept.push(track);
  track.onMessage((packet) => {
    const type = packet[1];
    if (!(type >= 192 && type <= 223) && track.isOpen()) track.sendMessageBinary(packet);
  });
};
connection.onTrack((track) => {
  say({ track: track.type() });
  reflect(track);
});

const SSRC = 0x10203;
const PAYLOAD_TYPES = { VP8: 96, H264: 102, opus: 111 };

const section = (kind, codec, mid, ssrc) => {
  const media = kind === 'video' ? new library.Video(mid, 'SendRecv') : new library.Audio(mid, 'SendRecv');
  const add = { VP8: 'addVP8Codec', H264: 'addH264Codec', opus: 'addOpusCodec' }[codec];
  media[add](PAYLOAD_TYPES[codec]);
  if (ssrc) media.addSSRC(ssrc, 'peer', 'peer', mid);
  return media;
};

let sections = 0;

/** Sends a packet with the beginning of a VP8 key frame every 20 ms. */
const send = (track, ssrc) => {
  const packet = Buffer.alloc(12 + 11);
  packet[0] = 0x80;
  packet[1] = 0x80 | PAYLOAD_TYPES.VP8;
  packet.writeUInt32BE(ssrc, 8);
  Buffer.from([0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0xa0, 0x00, 0x78, 0x00]).copy(packet, 12);
  let count = 0;
  return setInterval(() => {
    count += 1;
    packet.writeUInt16BE(count, 2);
    packet.writeUInt32BE(count * 1800, 4);
    if (track.isOpen()) track.sendMessageBinary(packet);
  }, 20);
};

const describe = async (type) => {
  connection.setLocalDescription(type);
  while (connection.gatheringState() !== 'complete') await new Promise((resolve) => setTimeout(resolve, 10));
  say(connection.localDescription());
};

const commands = {
  channel({ label, ordered }) {
    echo(connection.createDataChannel(label, { unordered: !ordered }));
  },
  media({ kind, codec, offers }) {
    if (offers) reflect(connection.addTrack(section(kind, codec, kind)));
  },
  async offer() {
    await describe('offer');
  },
  add() {
    const ssrc = SSRC + sections;
    const track = connection.addTrack(section('video', 'VP8', `added${sections}`, ssrc));
    sections += 1;
    kept.push(track);
    added = { track, timer: send(track, ssrc) };
  },
  remove() {
    clearInterval(added.timer);
    added.track.close();
  },
  polite() {
    polite = true;
  },
  close() {
    connection.close();
    say({ state: 'closed by itself' });
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do) {
    await commands[command.do](command);
  } else if (command.type === 'answer') {
    connection.setRemoteDescription(command.sdp, 'answer');
  } else if (connection.signalingState() !== 'stable' && !polite) {
    say({ ignored: command.type });
  } else {
    // It takes its own offer back by itself if there is one.
    connection.setRemoteDescription(command.sdp, 'offer');
    await describe('answer');
  }
}
process.exit(0);
