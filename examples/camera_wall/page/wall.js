// The page of the camera wall: signalling, tiles, statistics. No framework, no build step.

const $ = (id) => document.getElementById(id);
const wall = $('wall');

/** Cameras there are, by name. */
let cameras = new Map();
/** Tiles on the wall, by the id that the server gave them. */
const tiles = new Map();
/** What was on the wall, for the next connection; null is all. */
let wanted = null;
let signal = null;
let connection = null;
let generation = 0;
let attempt = 0;
let reconnects = 0;
let viewers = 0;
let complaints = {};
let state = 'connecting';

const STALE_AFTER = 2500;
const GIVE_UP_AFTER = 8000;

// ---- Connection ----

function connect() {
  const mine = ++generation;
  const isCurrent = () => mine === generation;
  const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/signal`);
  const peer = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
  signal = socket;
  connection = peer;
  let work = Promise.resolve();
  let trouble = null;

  const lose = (why) => {
    if (!isCurrent()) return;
    clearTimeout(trouble);
    generation++;
    // While there still is something to be seen.
    for (const tile of tiles.values()) tile.hold();
    socket.close();
    peer.close();
    signal = connection = null;
    for (const tile of tiles.values()) tile.disconnect();
    const delay = Math.min(8000, 500 * 2 ** attempt++) * (0.8 + 0.4 * Math.random());
    show('lost', `${why} Reconnecting in ${Math.ceil(delay / 1000)} s…`);
    setTimeout(() => {
      show('connecting', 'Reconnecting…');
      reconnects++;
      connect();
    }, delay);
  };

  socket.onclose = () => lose('The connection to the server is lost.');
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    // One after the other: a candidate must not overtake its description.
    work = work.then(() => isCurrent() && handlers[message.type]?.(message, peer))
      .catch((error) => { console.error(`${error}`); lose('The server and this page do not understand each other.'); });
  };
  peer.onicecandidate = ({ candidate }) => {
    if (candidate && isCurrent()) tell({ type: 'candidate', candidate });
  };
  peer.onconnectionstatechange = () => {
    if (!isCurrent()) return;
    clearTimeout(trouble);
    switch (peer.connectionState) {
      case 'connected':
        attempt = 0;
        show('connected', 'Connected');
        break;
      case 'disconnected':
        show('lost', 'The media has stopped; waiting for it to come back…');
        trouble = setTimeout(() => lose('The media connection is lost.'), GIVE_UP_AFTER);
        break;
      case 'failed':
      case 'closed':
        lose('The media connection is lost.');
    }
  };
}

function tell(message) {
  if (signal?.readyState === WebSocket.OPEN) signal.send(JSON.stringify(message));
}

const handlers = {
  hello({ cameras: list }) {
    cameras = new Map(list.map((camera) => [camera.name, camera]));
    const names = wanted?.filter((name) => cameras.has(name)) ?? null;
    // Tiles are made anew by the server, with the ids of this connection.
    for (const tile of [...tiles.values()]) tile.detach();
    tell({ type: 'watch', cameras: names });
    if (names?.length === 0) show('connected', 'Connected');
  },

  async offer({ sdp, tiles: list }, peer) {
    await peer.setRemoteDescription({ type: 'offer', sdp });
    await peer.setLocalDescription();
    tell({ type: 'answer', sdp: peer.localDescription.sdp });
    arrange(list, peer);
  },

  async candidate({ candidate }, peer) {
    await peer.addIceCandidate(candidate.candidate === '' ? null : candidate);
  },

  status(message) {
    ({ viewers, complaints } = message);
  },

  reduced({ slow, paused }) {
    for (const tile of tiles.values()) {
      tile.reduced = slow.includes(tile.id) ? 'slow' : paused.includes(tile.id) ? 'paused' : null;
      if (!tile.reduced) tile.resumed = performance.now();
    }
  },

  unsupported({ tiles: list }) {
    for (const tile of tiles.values()) tile.unsupported = list.includes(tile.id);
  },

  refused({ reason }) {
    console.warn(reason);
  },
};

/** Brings the tiles to what the server says is on the wall. */
function arrange(list, peer) {
  const transceivers = new Map(peer.getTransceivers().map((transceiver) => [transceiver.mid, transceiver]));
  const known = new Set(list.map(({ tile }) => tile));
  for (const tile of [...tiles.values()]) if (!known.has(tile.id)) tile.drop();
  for (const { tile: id, camera, video, audio } of list) {
    const tile = tiles.get(id) ?? new Tile(id, camera);
    tile.attach(transceivers.get(video), transceivers.get(audio));
  }
  remember();
}

function remember() {
  wanted = [...tiles.values()].map((tile) => tile.camera);
  $('empty').hidden = tiles.size > 0;
  refillMenu();
  fit();
}

/** Lays the tiles out so that all are seen at once, as large as can be; if they were too small then, in a square as far
    as the screen is wide enough. */
function fit() {
  const rem = parseFloat(getComputedStyle(document.documentElement).fontSize);
  const { paddingLeft, paddingTop, columnGap } = getComputedStyle(wall);
  const [side, above, gap] = [paddingLeft, paddingTop, columnGap].map(parseFloat);
  const hasNumbers = !document.body.classList.contains('plain');
  // Below its picture, and its border.
  const facts = (hasNumbers ? 5.9 : 3.2) * rem + 2;
  const beside = ['header', '#banner', 'footer'].reduce((sum, it) => sum + document.querySelector(it).offsetHeight, 0);
  const [width, height] = [wall.clientWidth - 2 * side, innerHeight - beside - 2 * above];
  let best = { tile: 0 };
  for (let columns = 1; columns <= Math.min(6, tiles.size); columns++) {
    const rows = Math.ceil(tiles.size / columns);
    const wide = (width - (columns - 1) * gap) / columns;
    const high = ((height - (rows - 1) * gap) / rows - facts) * 16 / 9;
    const tile = Math.floor(Math.min(wide, high));
    if (tile > best.tile) best = { tile, columns };
  }
  // The numbers of a narrower one need a second line.
  const fits = best.tile >= (hasNumbers ? 27 : 16) * rem;
  wall.classList.toggle('fits', fits);
  wall.style.setProperty('--columns', fits ? best.columns : Math.min(6, Math.max(1, Math.ceil(Math.sqrt(tiles.size)))));
  wall.style.setProperty('--tile', `${best.tile}px`);
}
addEventListener('resize', fit);

// ---- Tiles ----

/** Tiles of the connection before, by camera: their place, their sound and their last picture are kept. */
const spare = [];

/** Tells the server what is in sight and what is heard: it sends nothing else. */
const observer = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) target.tile.setVisible(isIntersecting);
  tellWanted();
}, { rootMargin: '120px' });

let wantedTimer = null;
function tellWanted() {
  clearTimeout(wantedTimer);
  wantedTimer = setTimeout(() => {
    const isSent = (tile) => tile.visible && document.visibilityState === 'visible';
    const ids = (isMeant) => [...tiles.values()].filter(isMeant).map((tile) => tile.id);
    tell({ type: 'visible', tiles: ids(isSent) });
    tell({ type: 'audible', tiles: ids((tile) => !tile.video.muted) });
  }, 30);
}
document.addEventListener('visibilitychange', tellWanted);

const spoken = (codec) => ({ H264: 'H.264', opus: 'Opus' })[codec] ?? codec;

class Tile {
  constructor(id, camera) {
    this.id = id;
    this.camera = camera;
    const at = spare.findIndex((old) => old.camera === camera);
    const old = at >= 0 ? spare.splice(at, 1)[0] : null;
    this.element = old?.element ?? this.make();
    this.element.tile = this;
    this.video = this.element.querySelector('video');
    this.visible = old?.visible ?? false;
    this.unsupported = false;
    /** 'slow' or 'paused' by the server, for a connection that carries no more. */
    this.reduced = null;
    this.framesDecoded = 0;
    this.lastFrame = null;
    this.seen = null;
    this.numbers = {};
    tiles.set(id, this);
    if (!old) {
      wall.append(this.element);
      observer.observe(this.element);
    }
    tellWanted();
  }

  make() {
    const element = $('tile').content.firstElementChild.cloneNode(true);
    const info = cameras.get(this.camera);
    element.querySelector('h2').append(this.camera);
    const codecs = document.createElement('small');
    codecs.textContent = [info?.picture, info?.sound].filter(Boolean).map(spoken).join(' · ');
    element.querySelector('h2').append(codecs);
    element.setAttribute('aria-label', this.camera);
    const sound = element.querySelector('.sound');
    sound.hidden = !info?.sound;
    sound.setAttribute('aria-label', `Sound of ${this.camera}`);
    sound.onclick = () => element.tile.toggleSound();
    const full = element.querySelector('.full');
    full.setAttribute('aria-label', `${this.camera} on the full screen`);
    full.onclick = () => element.tile.toggleFullScreen();
    const remove = element.querySelector('.remove');
    remove.setAttribute('aria-label', `Remove ${this.camera}`);
    remove.onclick = () => element.tile.remove();
    const video = element.querySelector('video');
    const still = element.querySelector('.still');
    video.onloadeddata = () => { still.hidden = true; };
    const count = () => {
      element.tile.lastFrame = performance.now();
      video.requestVideoFrameCallback?.(count);
    };
    video.requestVideoFrameCallback?.(count);
    return element;
  }

  attach(video, audio) {
    const isSame = this.transceivers?.video === video && this.transceivers?.audio === audio;
    this.transceivers = { video, audio };
    if (isSame) return;
    this.seen = null;
    const tracks = [video, audio].filter(Boolean).map((transceiver) => transceiver.receiver.track);
    this.video.srcObject = new MediaStream(tracks);
    this.video.play().catch(() => {});
  }

  setVisible(visible) {
    this.visible = visible;
    if (visible) this.resumed = performance.now();
  }

  get hasSound() { return !!cameras.get(this.camera)?.sound; }
  get hasPicture() { return !!cameras.get(this.camera)?.picture; }

  toggleSound() {
    if (!this.hasSound) return;
    this.video.muted = !this.video.muted;
    this.element.querySelector('.sound').setAttribute('aria-pressed', String(!this.video.muted));
    this.video.play().catch(() => {});
    tellWanted();
  }

  /** The whole tile, so that it has the keyboard there and afterwards. */
  toggleFullScreen() {
    if (document.fullscreenElement) return document.exitFullscreen();
    this.element.requestFullscreen?.().then(() => this.element.focus(), () => {});
  }

  remove() {
    const next = this.element.nextElementSibling ?? this.element.previousElementSibling;
    const hadFocus = this.element.contains(document.activeElement) || document.fullscreenElement === this.element;
    tell({ type: 'remove', tile: this.id });
    this.drop();
    remember();
    if (hadFocus) (next ?? $('add')).focus();
  }

  /** Keeps what is seen now, until the next connection has a picture: browsers blank that of a track that has ended. */
  hold() {
    const still = this.element.querySelector('.still');
    const { videoWidth, videoHeight } = this.video;
    if (!videoWidth || !still.hidden) return;
    Object.assign(still, { width: videoWidth, height: videoHeight });
    still.getContext('2d').drawImage(this.video, 0, 0);
    still.hidden = false;
  }

  /** The connection is gone; what was seen last stays. */
  disconnect() {
    this.transceivers = null;
    this.numbers = {};
  }

  /** Makes room for the tile of the next connection. */
  detach() {
    tiles.delete(this.id);
    spare.push(this);
  }

  drop() {
    tiles.delete(this.id);
    observer.unobserve(this.element);
    this.video.srcObject = null;
    this.element.remove();
  }

  get age() { return this.lastFrame === null ? null : performance.now() - this.lastFrame; }

  /** What the badge says, and what is written over the picture. */
  condition() {
    const complaint = complaints[this.camera];
    if (state !== 'connected') return ['stale', 'Offline', ''];
    if (this.unsupported) return ['stale', 'Unsupported', `This browser does not play ${spoken(cameras.get(this.camera)?.picture ?? 'this')}.`];
    if (complaint) return ['stale', 'Stale', `No signal. ${complaint}`];
    if (!this.visible) return ['paused', 'Paused', ''];
    if (this.reduced === 'paused') return ['paused', 'Paused', 'The connection is too slow for this camera.'];
    if (!this.hasPicture) return ['live', 'Sound only', 'Sound only'];
    if (this.reduced === 'slow') return ['slow', 'Slow', ''];
    if (this.age === null) return ['waiting', 'Waiting', 'Waiting for the first frame…'];
    if (this.age > STALE_AFTER && performance.now() - (this.resumed ?? 0) > STALE_AFTER) {
      return ['stale', 'Stale', `No frame for ${Math.round(this.age / 1000)} s.`];
    }
    return ['live', 'Live', ''];
  }

  /** Takes the statistics of its tracks. */
  measure(byTrack, roundTrip) {
    const track = (transceiver) => byTrack.get(transceiver?.receiver.track.id);
    const video = track(this.transceivers?.video);
    const audio = track(this.transceivers?.audio);
    const now = performance.now();
    const bytes = (video?.bytesReceived ?? 0) + (audio?.bytesReceived ?? 0);
    const frames = video?.framesDecoded ?? 0;
    if (frames > this.framesDecoded && !HTMLVideoElement.prototype.requestVideoFrameCallback) this.lastFrame = now;
    this.framesDecoded = frames;
    const before = this.seen;
    if (before && now - before.at >= 900 || !before) {
      const seconds = before ? (now - before.at) / 1000 : 0;
      this.numbers.fps = before ? Math.max(0, frames - before.frames) / seconds : null;
      this.numbers.bitrate = before ? Math.max(0, bytes - before.bytes) * 8 / seconds : null;
      this.seen = { at: now, frames, bytes };
    }
    Object.assign(this.numbers, {
      width: video?.frameWidth ?? null,
      height: video?.frameHeight ?? null,
      keyFrames: video?.keyFramesDecoded ?? 0,
      soundPackets: audio?.packetsReceived ?? 0,
      lost: (video?.packetsLost ?? 0) + (audio?.packetsLost ?? 0),
      roundTrip,
      audioEnergy: audio?.totalAudioEnergy ?? 0,
      bytes,
    });
  }

  paint() {
    const { width, height, fps, bitrate, roundTrip, lost } = this.numbers;
    const set = (name, text) => {
      const field = this.element.querySelector(`.${name}`);
      if (field.textContent !== text) field.textContent = text;
    };
    const known = (value) => value !== undefined && value !== null;
    set('size', width ? `${width}×${height}` : '–');
    set('fps', known(fps) ? `${fps.toFixed(0)} fps` : '–');
    set('bitrate', known(bitrate) ? (bitrate >= 1e6 ? `${(bitrate / 1e6).toFixed(1)} Mbit/s` : `${(bitrate / 1e3).toFixed(0)} kbit/s`) : '–');
    set('rtt', known(roundTrip) ? `${(roundTrip * 1000).toFixed(roundTrip < 0.01 ? 1 : 0)} ms` : '–');
    set('lost', known(lost) ? String(Math.max(0, lost)) : '–');
    const age = this.age;
    set('age', age === null ? '–' : age < 1000 ? `${Math.round(age / 10) * 10} ms` : `${(age / 1000).toFixed(1)} s`);
    const [kind, label, veil] = this.condition();
    this.element.querySelector('.age').classList.toggle('bad', kind === 'stale' && age !== null);
    const badge = this.element.querySelector('.badge');
    if (badge.textContent !== label) badge.textContent = label;
    badge.dataset.state = kind;
    set('veil-text', veil);
    this.element.toggleAttribute('data-veiled', veil !== '');
  }
}

// ---- What is shown ----

function show(next, text) {
  state = next;
  $('connection').dataset.state = next;
  $('connection-text').textContent = next === 'lost' ? 'Connection lost' : text;
  $('banner').hidden = next !== 'lost';
  if (next === 'lost') $('banner').textContent = text;
  for (const tile of tiles.values()) tile.paint();
  fit();
}

function showNumbers(shown) {
  document.body.classList.toggle('plain', !shown);
  $('numbers').setAttribute('aria-pressed', String(shown));
  try { localStorage.setItem('numbers', shown ? 'shown' : 'hidden'); } catch { /* A browser may keep nothing. */ }
  fit();
}
const toggleNumbers = () => showNumbers(document.body.classList.contains('plain'));
$('numbers').onclick = toggleNumbers;

async function measure() {
  const peer = connection;
  if (!peer) return;
  const report = await peer.getStats();
  const byTrack = new Map();
  let roundTrip = null;
  for (const entry of report.values()) {
    if (entry.type === 'inbound-rtp') byTrack.set(entry.trackIdentifier, entry);
    if (entry.type === 'candidate-pair' && (entry.nominated || entry.selected) && entry.currentRoundTripTime !== undefined) {
      roundTrip = entry.currentRoundTripTime;
    }
  }
  if (peer === connection) for (const tile of tiles.values()) tile.measure(byTrack, roundTrip);
}

setInterval(async () => {
  await measure().catch((error) => console.error(`${error}`));
  for (const tile of tiles.values()) tile.paint();
  // What the server did not give back, such as a camera that is gone.
  if (state === 'connected') for (const old of spare.splice(0)) { observer.unobserve(old.element); old.element.remove(); }
  const total = [...tiles.values()].reduce((sum, tile) => sum + (tile.numbers.bitrate ?? 0), 0);
  const count = (number, what) => `${number} ${what}${number === 1 ? '' : 's'}`;
  $('summary').textContent = state === 'connected'
    ? `${count(tiles.size, 'camera')} · ${(total / 1e6).toFixed(1)} Mbit/s · ${count(viewers, 'viewer')}` : '';
}, 500);

// ---- Adding ----

const menu = $('add-menu');

/** Offers what is not on the wall yet. */
function fillMenu() {
  const others = addable();
  if (others.length === 0) {
    const none = document.createElement('li');
    none.className = 'none';
    none.textContent = cameras.size ? 'All cameras are on the wall.' : 'No cameras are known yet.';
    return menu.replaceChildren(none);
  }
  menu.replaceChildren(...others.map(({ name, picture, sound }) => {
    const item = document.createElement('li');
    const button = document.createElement('button');
    button.type = 'button';
    button.dataset.camera = name;
    const kind = document.createElement('small');
    kind.textContent = [picture && 'picture', sound && 'sound'].filter(Boolean).join(' and ');
    button.append(name, kind);
    button.onclick = () => {
      tell({ type: 'add', camera: name });
      openMenu(false);
      $('add').focus();
    };
    item.append(button);
    return item;
  }));
}

/** Cameras that are not on the wall. */
function addable() {
  const shown = new Set([...tiles.values()].map((tile) => tile.camera));
  return [...cameras.values()].filter(({ name }) => !shown.has(name));
}

/** While it is open, if it offers something else now, and without taking the keyboard from who is in it. */
function refillMenu() {
  const offered = [...menu.querySelectorAll('button')].map((button) => button.dataset.camera);
  if (menu.hidden || `${offered}` === `${addable().map(({ name }) => name)}`) return;
  const focused = menu.contains(document.activeElement) ? document.activeElement.dataset.camera ?? '' : null;
  fillMenu();
  if (focused === null) return;
  const buttons = [...menu.querySelectorAll('button')];
  (buttons.find((button) => button.dataset.camera === focused) ?? buttons[0] ?? menu).focus();
}

function openMenu(open) {
  if (open) fillMenu();
  menu.hidden = !open;
  $('add').setAttribute('aria-expanded', String(open));
  if (open) (menu.querySelector('button') ?? menu).focus();
}

$('add').onclick = () => openMenu(menu.hidden);
menu.onkeydown = (event) => {
  const items = [...menu.querySelectorAll('button')];
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === 'Escape') { openMenu(false); $('add').focus(); }
  if (!step) return;
  event.preventDefault();
  items[(items.indexOf(document.activeElement) + step + items.length) % items.length]?.focus();
};
document.addEventListener('pointerdown', ({ target }) => {
  if (!target.closest('.menu')) openMenu(false);
});

// ---- Keyboard ----

document.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || menu.contains(event.target)) return;
  const full = document.fullscreenElement;
  const focused = full ?? event.target.closest?.('.tile');
  // The others, and the menu, are not to be seen then.
  if (full && !['m', 'f', 'delete'].includes(event.key.toLowerCase())) return;
  switch (event.key.toLowerCase()) {
    case 'a': openMenu(true); break;
    case 'n': toggleNumbers(); break;
    case 'm': focused?.tile.toggleSound(); break;
    case 'f': focused?.tile.toggleFullScreen(); break;
    case 'delete': focused?.tile.remove(); break;
    case 'arrowleft': case 'arrowright': case 'arrowup': case 'arrowdown': move(event.key, focused); break;
    default: return;
  }
  event.preventDefault();
});

function move(key, from) {
  const all = [...wall.querySelectorAll('.tile')];
  if (!all.length) return;
  if (!from) return all[0].focus();
  const columns = all.filter((tile) => tile.offsetTop === all[0].offsetTop).length;
  const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[key];
  all[all.indexOf(from) + step]?.focus();
}

// However full screen was left, by Escape as well.
let wasFull = null;
document.addEventListener('fullscreenchange', () => {
  if (!document.fullscreenElement && wasFull?.isConnected) wasFull.focus();
  wasFull = document.fullscreenElement;
});

// ---- For tests ----

globalThis.kaon = {
  get connectionState() { return state; },
  get reconnects() { return reconnects; },
  get viewers() { return viewers; },
  get connection() { return connection; },
  get cameras() {
    return [...tiles.values()].map((tile) => ({
      tile: tile.id,
      name: tile.camera,
      framesDecoded: tile.framesDecoded,
      lastFrameAge: tile.age,
      visible: tile.visible,
      condition: tile.condition()[0],
      complaint: complaints[tile.camera] ?? null,
      muted: tile.video.muted,
      unsupported: tile.unsupported,
      ...tile.numbers,
    }));
  },
  add: (camera) => tell({ type: 'add', camera }),
  remove: (id) => tiles.get(id)?.remove(),
  toggleSound: (id) => tiles.get(id)?.toggleSound(),
};

let hidden = false;
try { hidden = localStorage.getItem('numbers') === 'hidden'; } catch { /* It may not be asked. */ }
showNumbers(!hidden);
connect();
