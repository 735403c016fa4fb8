// libwebrtc, as @roamhq/wrtc brings it to Node, as a peer of the tests: the commands are those of
// tests/whole_peers/peer.rs.
import { createInterface } from 'node:readline';
import wrtc from '@roamhq/wrtc';

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const connection = new wrtc.RTCPeerConnection({ iceServers: [] });
let polite = false;
let reflecting = false;
let added;

const echo = (channel) => {
  channel.binaryType = 'arraybuffer';
  channel.onmessage = ({ data }) => channel.send(data);
  channel.onclose = () => say({ closed: channel.label });
};
connection.ondatachannel = ({ channel }) => {
  echo(channel);
  say({ channel: channel.label, ordered: channel.ordered });
};
connection.onconnectionstatechange = () => say({ state: connection.connectionState });
connection.ontrack = ({ track, transceiver }) => {
  say({ track: track.kind });
  if (reflecting) void transceiver.sender.replaceTrack(track);
};

const describe = async () => {
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 10));
  const { type, sdp } = connection.localDescription;
  say({ type, sdp });
};

/** A grey picture that gets lighter and darker. */
const picture = () => {
  const source = new wrtc.nonstandard.RTCVideoSource();
  const [width, height] = [160, 120];
  let count = 0;
  const timer = setInterval(() => {
    count += 1;
    source.onFrame({ width, height, data: new Uint8ClampedArray((width * height * 3) / 2).fill(64 + (count % 128)) });
  }, 33);
  return { track: source.createTrack(), stop: () => clearInterval(timer) };
};

const commands = {
  channel({ label, ordered }) {
    echo(connection.createDataChannel(label, { ordered }));
  },
  media({ kind, codec, offers }) {
    reflecting = true;
    if (!offers) return;
    const transceiver = connection.addTransceiver(kind, { direction: 'sendrecv' });
    const { codecs } = wrtc.RTCRtpReceiver.getCapabilities(kind);
    transceiver.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `${kind}/${codec}`));
  },
  async offer() {
    await connection.setLocalDescription(await connection.createOffer());
    await describe();
  },
  async restart() {
    connection.restartIce();
    await commands.offer();
  },
  add() {
    const { track, stop } = picture();
    added = { sender: connection.addTrack(track, new wrtc.MediaStream()), stop };
  },
  remove() {
    connection.removeTrack(added.sender);
    added.stop();
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
    await connection.setRemoteDescription(command);
  } else if (connection.signalingState !== 'stable' && !polite) {
    say({ ignored: command.type });
  } else {
    if (connection.signalingState !== 'stable') await connection.setLocalDescription({ type: 'rollback' });
    await connection.setRemoteDescription(command);
    if (reflecting) for (const transceiver of connection.getTransceivers()) transceiver.direction = 'sendrecv';
    await connection.setLocalDescription(await connection.createAnswer());
    await describe();
  }
}
process.exit(0);
