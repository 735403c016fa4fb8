// The page of the echo: its camera, its microphone and its messages come back.

const $ = (id) => document.getElementById(id);

let connection = null;
let channel = null;
let state = 'connecting';
let attempt = 0;
let generation = 0;
let own = null;
let numbers = { framesDecoded: 0, audioEnergy: 0 };
const messages = [];

/** Camera and microphone, or what of them there is. */
async function media() {
  const reasons = [];
  for (const wish of [{ video: true, audio: true }, { video: true }, { audio: true }]) {
    try {
      return await navigator.mediaDevices.getUserMedia(wish);
    } catch (error) {
      reasons.push(error.message);
    }
  }
  $('banner').hidden = false;
  $('banner').textContent = `No camera and no microphone (${reasons[0]}). Messages work all the same.`;
  return new MediaStream();
}

function show(next, text) {
  state = next;
  $('connection').dataset.state = next;
  $('connection').textContent = text;
}

function connect() {
  const mine = ++generation;
  const isCurrent = () => mine === generation;
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/signal`);
  const peer = connection = new RTCPeerConnection();
  let work = Promise.resolve();

  const lose = () => {
    if (!isCurrent()) return;
    generation++;
    socket.close();
    peer.close();
    const delay = Math.min(8000, 500 * 2 ** attempt++) * (0.8 + 0.4 * Math.random());
    show('lost', `Connection lost, reconnecting in ${Math.ceil(delay / 1000)} s…`);
    setTimeout(connect, delay);
  };
  const tell = (message) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify(message));

  peer.onicecandidate = ({ candidate }) => candidate && tell({ type: 'candidate', candidate });
  peer.onconnectionstatechange = () => {
    if (peer.connectionState === 'connected') {
      attempt = 0;
      show('connected', 'Connected');
    } else if (['failed', 'closed'].includes(peer.connectionState)) {
      lose();
    }
  };
  const returned = new MediaStream();
  peer.ontrack = ({ track }) => {
    returned.addTrack(track);
    $('returned').srcObject = returned;
  };
  socket.onopen = async () => {
    for (const track of own.getTracks()) peer.addTrack(track, own);
    listen(peer.createDataChannel('echo'));
    await peer.setLocalDescription();
    tell({ type: 'offer', sdp: peer.localDescription.sdp });
  };
  socket.onclose = lose;
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    work = work.then(async () => {
      if (message.type === 'answer') await peer.setRemoteDescription(message);
      if (message.type === 'candidate') {
        await peer.addIceCandidate(message.candidate.candidate === '' ? null : message.candidate);
      }
    }).catch((error) => { console.error(error); lose(); });
  };
}

// ---- Messages ----

const MAX_SHOWN = 50;
let nextMessage = 0;

function listen(made) {
  channel = made;
  channel.onmessage = ({ data }) => {
    const { number } = JSON.parse(data);
    const message = messages.find((sent) => sent.number === number);
    if (!message) return;
    message.roundTrip = performance.now() - message.sent;
    message.field.textContent = `${message.roundTrip.toFixed(1)} ms`;
  };
}

function send(text) {
  if (channel?.readyState !== 'open') return false;
  const item = document.createElement('li');
  const said = document.createElement('span');
  said.textContent = text;
  const field = document.createElement('span');
  field.textContent = '…';
  item.append(said, field);
  $('messages').prepend(item);
  const message = { number: nextMessage++, text, field, sent: performance.now(), roundTrip: null };
  messages.unshift(message);
  messages.splice(MAX_SHOWN).forEach((old) => old.field.parentElement.remove());
  channel.send(JSON.stringify({ number: message.number, text }));
  return true;
}

$('form').onsubmit = (event) => {
  event.preventDefault();
  if (send($('text').value)) $('text').value = '';
};

$('sound').onclick = () => {
  const video = $('returned');
  video.muted = !video.muted;
  $('sound').setAttribute('aria-pressed', String(!video.muted));
  $('sound').textContent = video.muted ? 'Hear yourself' : 'Mute';
};

// ---- Statistics ----

let before = null;
setInterval(async () => {
  if (!connection || connection.signalingState === 'closed') return;
  const report = await connection.getStats();
  const found = { framesDecoded: 0, audioEnergy: 0, bytes: 0, roundTrip: null, lost: 0 };
  for (const entry of report.values()) {
    if (entry.type === 'inbound-rtp') {
      found.bytes += entry.bytesReceived ?? 0;
      found.lost += entry.packetsLost ?? 0;
      if (entry.kind === 'video') Object.assign(found, { framesDecoded: entry.framesDecoded, width: entry.frameWidth, height: entry.frameHeight });
      if (entry.kind === 'audio') Object.assign(found, { audioEnergy: entry.totalAudioEnergy ?? 0, level: entry.audioLevel ?? 0 });
    }
    if (entry.type === 'candidate-pair' && (entry.nominated || entry.selected)) found.roundTrip = entry.currentRoundTripTime ?? null;
  }
  const now = performance.now();
  if (before) {
    const seconds = (now - before.at) / 1000;
    found.fps = (found.framesDecoded - before.framesDecoded) / seconds;
    found.bitrate = (found.bytes - before.bytes) * 8 / seconds;
  }
  before = { ...found, at: now };
  numbers = found;
  $('level').value = Math.min(1, (found.level ?? 0) * 2);
  $('facts').textContent = found.width
    ? `${found.width}×${found.height} · ${(found.fps ?? 0).toFixed(0)} fps · ${((found.bitrate ?? 0) / 1000).toFixed(0)} kbit/s · ${((found.roundTrip ?? 0) * 1000).toFixed(1)} ms · ${found.lost} lost` : '';
  const settings = own?.getVideoTracks()[0]?.getSettings();
  $('own-facts').textContent = settings ? `${settings.width}×${settings.height}` : '';
}, 1000);

globalThis.kaon = {
  get connectionState() { return state; },
  get messages() { return messages.map(({ text, roundTrip }) => ({ text, roundTrip })); },
  get media() { return numbers; },
  send,
};

own = await media();
$('own').srcObject = own;
connect();
