// Publishes and watches: each is an offer, posted, and the answer that comes back.

const element = (id) => document.getElementById(id);

async function exchange(path, connection) {
  await connection.setLocalDescription();
  // Nothing trickles: the offer has its candidates in it.
  while (connection.iceGatheringState !== 'complete') {
    await new Promise((resolve) => connection.addEventListener('icegatheringstatechange', resolve, { once: true }));
  }
  const response = await fetch(path, { method: 'POST', body: connection.localDescription.sdp });
  if (!response.ok) throw new Error(await response.text());
  await connection.setRemoteDescription({ type: 'answer', sdp: await response.text() });
  return connection;
}

async function publish() {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true, audio: true });
  const connection = new RTCPeerConnection();
  stream.getTracks().forEach((track) => connection.addTrack(track, stream));
  return exchange('/publish', connection);
}

async function watch(video = element('video')) {
  const connection = new RTCPeerConnection();
  video.srcObject = new MediaStream();
  connection.addEventListener('track', ({ track }) => video.srcObject.addTrack(track));
  ['video', 'audio'].forEach((kind) => connection.addTransceiver(kind, { direction: 'recvonly' }));
  return exchange('/watch', connection);
}

function button(id, start) {
  element(id).addEventListener('click', async () => {
    const say = (text) => { element('state').textContent = `${id}: ${text}`; };
    try {
      const connection = await start();
      connection.addEventListener('connectionstatechange', () => say(connection.connectionState));
      say(connection.connectionState);
    } catch (error) {
      say(error.message);
    }
  });
}

button('publish', publish);
button('watch', () => watch());
globalThis.kaon = { publish, watch };
