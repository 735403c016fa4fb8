// libwebrtc ("wrtc") or libdatachannel ("libdatachannel"), by the first argument, as a peer of the tests: JSON
// lines on standard input and output, see tests/whole_peers.rs. Messages and media come back as they went.
import { createInterface } from 'node:readline';

const [, , library] = process.argv;
const { RTCPeerConnection } =
  library === 'wrtc' ? (await import('@roamhq/wrtc')).default : await import('node-datachannel/polyfill');

const say = (value) => process.stdout.write(`${JSON.stringify(value)}\n`);

const connection = new RTCPeerConnection({ iceServers: [] });

const echo = (channel) => {
  channel.binaryType = 'arraybuffer';
  channel.onmessage = ({ data }) => channel.send(data);
};
connection.ondatachannel = ({ channel }) => echo(channel);
connection.onconnectionstatechange = () => say({ state: connection.connectionState });
connection.ontrack = ({ track, transceiver, streams }) => {
  say({ track: track.kind });
  void transceiver.sender.replaceTrack(track);
};

const describe = async () => {
  while (connection.iceGatheringState !== 'complete') await new Promise((resolve) => setTimeout(resolve, 10));
  const { type, sdp } = connection.localDescription;
  say({ type, sdp });
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  if (command.do === 'media') {
    connection.addTransceiver('video', { direction: 'sendrecv' });
    connection.addTransceiver('audio', { direction: 'sendrecv' });
  } else if (command.do === 'offer') {
    echo(connection.createDataChannel('from the peer'));
    await connection.setLocalDescription(await connection.createOffer());
    await describe();
  } else if (command.do === 'close') {
    connection.close();
    say({ state: 'closed by itself' });
  } else if (command.type === 'offer') {
    await connection.setRemoteDescription(command);
    for (const transceiver of connection.getTransceivers?.() ?? []) transceiver.direction = 'sendrecv';
    await connection.setLocalDescription(await connection.createAnswer());
    await describe();
  } else {
    await connection.setRemoteDescription(command);
  }
}
process.exit(0);
