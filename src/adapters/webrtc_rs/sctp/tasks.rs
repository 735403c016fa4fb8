//! The tasks of one association: they wait for the crate, and leave what it says where the caller finds it.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use rustc_hash::FxHashMap;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinSet;
use webrtc_sctp::association::{Association, Config};
use webrtc_sctp::chunk::chunk_payload_data::PayloadProtocolIdentifier;
use webrtc_sctp::stream::{ReliabilityType, Stream};

use crate::layer::{PayloadProtocol, Received, Reliability, SendOptions, StreamId};

/// What the caller wants done, in order.
#[derive(Debug)]
pub(super) enum Command {
    Send { stream: StreamId, protocol: PayloadProtocol, message: Bytes, options: SendOptions },
    Reset(Vec<StreamId>),
    Shutdown,
}

/// What tasks and caller share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Told when messages were read.
    room: Notify,
    limits: Limits,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Bytes of messages that wait to be read before no more are taken from the crate.
    pub(super) received: usize,
    /// The longest message that is taken.
    pub(super) message: usize,
    /// Streams that are open at once.
    pub(super) streams: usize,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the handshake is over, and how.
    pub(super) handshake: Option<bool>,
    /// What only the end of the association can answer.
    pub(super) failure: Option<&'static str>,
    pub(super) streams: FxHashMap<StreamId, Arc<Stream>>,
    /// Bytes that were taken from the caller, and that the crate was not given yet.
    pub(super) queued: FxHashMap<StreamId, usize>,
    pub(super) received: VecDeque<Received>,
    pub(super) received_bytes: usize,
    /// What the caller keeps of what it received.
    held_bytes: usize,
}

impl Shared {
    pub(super) fn new(limits: Limits) -> Self {
        Self { state: Mutex::default(), room: Notify::new(), limits }
    }

    /// The state, never locked over an await.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn receive(&self) -> Option<Received> {
        let mut state = self.state();
        let received = state.received.pop_front()?;
        state.received_bytes -= received.payload.len();
        drop(state);
        self.room.notify_waiters();
        Some(received)
    }

    /// Counts what the caller keeps of what it received.
    pub(super) fn set_held(&self, bytes: usize) {
        let before = std::mem::replace(&mut self.state().held_bytes, bytes);
        if bytes < before {
            self.room.notify_waiters();
        }
    }

    async fn wait_for_room(&self) {
        loop {
            let room = self.room.notified();
            tokio::pin!(room);
            // Registered before the look, so that no reading is missed.
            room.as_mut().enable();
            let has_room = {
                let state = self.state();
                state.received_bytes + state.held_bytes < self.limits.received
            };
            if has_room {
                return;
            }
            room.await;
        }
    }
}

/// All of an association; ends with the tasks that it has started when it is aborted.
pub(super) async fn run(
    config: Config,
    connect: bool,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
) {
    let association =
        if connect { Association::client(config).await } else { Association::server(config).await };
    let association = match association {
        Ok(association) => Arc::new(association),
        Err(_) => {
            shared.state().handshake = Some(false);
            return;
        }
    };
    shared.state().handshake = Some(true);
    let (opened, to_read) = mpsc::channel(1);
    let mut tasks = JoinSet::new();
    tasks.spawn(accept(association.clone(), to_read, shared.clone()));
    tasks.spawn(write(association, commands, opened, shared.clone()));
    while let Some(ended) = tasks.join_next().await {
        if ended.is_err() {
            shared.state().failure = Some("webrtc-sctp panicked");
            return;
        }
    }
}

/// Reads each stream that either side opens.
async fn accept(association: Arc<Association>, mut opened: mpsc::Receiver<Arc<Stream>>, shared: Arc<Shared>) {
    let mut readers = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = association.accept_stream() => stream,
            stream = opened.recv() => stream,
            Some(ended) = readers.join_next() => {
                if ended.is_err() {
                    shared.state().failure = Some("webrtc-sctp panicked");
                }
                continue;
            }
        };
        let Some(stream) = stream else { return };
        if readers.len() >= shared.limits.streams {
            // Nobody would read it, and its data would fill the window of all.
            let _ = stream.shutdown(Shutdown::Both).await;
            continue;
        }
        let id = StreamId(stream.stream_identifier());
        shared.state().streams.insert(id, stream.clone());
        readers.spawn(read(id, stream, shared.clone()));
    }
}

async fn read(id: StreamId, stream: Arc<Stream>, shared: Arc<Shared>) {
    let mut buffer = vec![0; shared.limits.message];
    loop {
        shared.wait_for_room().await;
        match stream.read_sctp(&mut buffer).await {
            // A stream that has ended; there are no empty messages.
            Ok((0, _)) => break,
            Ok((length, protocol)) => {
                let payload = Bytes::copy_from_slice(&buffer[..length]);
                let protocol = PayloadProtocol(match protocol {
                    PayloadProtocolIdentifier::Unknown => 0,
                    known => known as u32,
                });
                let mut state = shared.state();
                state.received_bytes += length;
                state.received.push_back(Received { stream: id, protocol, unordered: false, payload });
            }
            Err(_) => {
                shared.state().failure = Some("a message is longer than max_receive_message");
                break;
            }
        }
    }
    let mut state = shared.state();
    if state.streams.get(&id).is_some_and(|open| Arc::ptr_eq(open, &stream)) {
        state.streams.remove(&id);
    }
}

async fn write(
    association: Arc<Association>,
    mut commands: mpsc::Receiver<Command>,
    opened: mpsc::Sender<Arc<Stream>>,
    shared: Arc<Shared>,
) {
    while let Some(command) = commands.recv().await {
        match command {
            Command::Send { stream: id, protocol, message, options } => {
                let length = message.len();
                if let Some(stream) = open(&association, id, &opened, &shared).await {
                    let (kind, value) = match options.reliability {
                        Reliability::Reliable => (ReliabilityType::Reliable, 0),
                        Reliability::MaxRetransmits(count) => (ReliabilityType::Rexmit, count.into()),
                        Reliability::MaxLifetime(life) => {
                            (ReliabilityType::Timed, life.as_millis().try_into().unwrap_or(u32::MAX))
                        }
                    };
                    stream.set_reliability_params(options.unordered, kind, value);
                    // An association that ends meanwhile is told of by its packets.
                    let _ = stream.write_sctp(&message, protocol.0.into()).await;
                }
                let mut state = shared.state();
                if let Some(queued) = state.queued.get_mut(&id) {
                    *queued = queued.saturating_sub(length);
                    if *queued == 0 {
                        state.queued.remove(&id);
                    }
                }
            }
            Command::Reset(ids) => {
                for id in ids {
                    if let Some(stream) = open(&association, id, &opened, &shared).await {
                        let _ = stream.shutdown(Shutdown::Both).await;
                    }
                }
            }
            Command::Shutdown => {
                // The crate ends without sending what waits for the window.
                while shared.state().streams.values().any(|stream| stream.buffered_amount() > 0) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                let _ = association.shutdown().await;
            }
        }
    }
}

/// The stream, opened if it is not, and then read, too.
async fn open(
    association: &Association,
    id: StreamId,
    opened: &mpsc::Sender<Arc<Stream>>,
    shared: &Shared,
) -> Option<Arc<Stream>> {
    /// How often the end of a stream that was reset is awaited, a millisecond each.
    const TRIES: usize = 1000;
    for _ in 0..TRIES {
        if let Some(stream) = shared.state().streams.get(&id) {
            return Some(stream.clone());
        }
        if let Ok(stream) = association.open_stream(id.0, PayloadProtocolIdentifier::Binary).await {
            shared.state().streams.insert(id, stream.clone());
            opened.send(stream.clone()).await.ok()?;
            return Some(stream);
        }
        // The peer has opened it and it is about to be accepted, or it was reset and the peer has not followed.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    None
}
