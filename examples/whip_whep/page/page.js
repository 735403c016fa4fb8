// Publishes by WHIP (RFC 9725) and watches by WHEP: one POST each, and a DELETE at the end.

const element = (id) => document.getElementById(id);
const say = (text) => { element('state').textContent = text; };

async function begin(path, connection) {
  await connection.setLocalDescription();
  // No trickle: the offer has its candidates in it.
  if (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => connection.addEventListener('icegatheringstatechange', () => {
      if (connection.iceGatheringState === 'complete') resolve();
    }));
  }
  const headers = { 'content-type': 'application/sdp' };
  const response = await fetch(path, { method: 'POST', headers, body: connection.localDescription.sdp });
  if (response.status !== 201) {
    connection.close();
    throw new Error(await response.text());
  }
  await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return { connection, session: response.headers.get('location') };
}

async function end({ connection, session }) {
  await fetch(session, { method: 'DELETE' });
  connection.close();
}

async function publish() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  element('own').srcObject = stream;
  const connection = new RTCPeerConnection();
  stream.getTracks().forEach((track) => {
    connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
  });
  return begin('/whip', connection);
}

async function watch(video = element('watched')) {
  const connection = new RTCPeerConnection();
  const stream = new MediaStream();
  video.srcObject = stream;
  connection.addEventListener('track', ({ track }) => stream.addTrack(track));
  connection.addTransceiver('video', { direction: 'recvonly' });
  connection.addTransceiver('audio', { direction: 'recvonly' });
  return begin('/whep', connection);
}

async function framesDecoded({ connection }) {
  const stats = [...(await connection.getStats()).values()];
  return stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.framesDecoded ?? 0;
}

function toggle(id, start) {
  const button = element(id);
  let running;
  button.addEventListener('click', async () => {
    button.disabled = true;
    try {
      if (running) {
        await end(running);
        running = undefined;
      } else {
        running = await start();
        const { connection } = running;
        connection.addEventListener('connectionstatechange', () => say(`${id}: ${connection.connectionState}`));
        // The other side has ended it, which the connection's own state tells seconds later.
        const { transport } = connection.getTransceivers()[0].receiver;
        transport?.addEventListener('statechange', () => {
          if (transport.state === 'closed') say(`${id}: it has ended`);
        });
      }
      say(running ? `${id}: ${running.connection.connectionState}` : `${id}: ended`);
    } catch (error) {
      say(`${id}: ${error.message}`);
    }
    button.setAttribute('aria-pressed', String(running !== undefined));
    button.disabled = false;
  });
}

toggle('publish', publish);
toggle('watch', () => watch());
globalThis.kaon = { publish, watch, end, framesDecoded };
