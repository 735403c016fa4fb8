//! A server of many clients behind one socket.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use slab::Slab;

use super::cookies::{COOKIE_LEN, Cookies};
use crate::dtls::config::Config;
use crate::dtls::connection::Connection;
use crate::dtls::handshake::{
    ClientHelloStart, Fragment, HandshakeHeader, HandshakeType, MessageSeq, Random, put_hello_verify_request,
};
use crate::dtls::peer_authentication::PeerVerification;
use crate::dtls::record::{ContentType, Epoch, Record, SequenceNumber, WriteEpochs};
use crate::dtls::stats::{Ignored, Stats};
use crate::dtls::wire::{Malformed, Reader};
use crate::layer::{
    Datagram, DtlsError, DtlsEvent, DtlsTransport, FiveTuple, HashKeys, Layer, NameHash, Transmit,
    TransmitBatch,
};

/// The body of a HelloVerifyRequest: version, length, cookie.
const HELLO_VERIFY_REQUEST_LEN: u32 = 2 + 1 + COOKIE_LEN as u32;

/// How many pending cookies there is memory for from the beginning.
const MAX_RESERVED_COOKIES: usize = 1024;

/// A DTLS server that stands alone on a port, for any number of clients.
///
/// A client that is not known is answered with a cookie, and nothing is kept or allocated for it. Only when
/// the cookie comes back, from where it was sent to, is there a [`Connection`]. It finds its datagrams by
/// five-tuple.
///
/// A ClientHello may span several datagrams, as those of browsers do. The cookie stands in its first
/// fragment, and that alone is looked at: fragments of unknown clients that do not begin a hello are ignored.
/// When the fragments of the hello with the cookie arrive in the wrong order, the client has to send it once
/// more.
///
/// A client may start anew from the same address and port while its old connection stands, as one does that
/// lost its state (RFC 6347 §4.2.8). Its new handshake goes on beside the old connection, which serves on until
/// the client has delivered its Finished, so that nobody can end a connection by a forged hello. Then the old one
/// is abandoned: [`DtlsEvent::Closed`] is told of it, and behind that what is told of the new one.
///
#[cfg_attr(feature = "aws-lc-rs", doc = "```")]
#[cfg_attr(not(feature = "aws-lc-rs"), doc = "```ignore")]
/// use std::sync::Arc;
///
/// use kaon_rtc::crypto::aws_lc_rs;
/// use kaon_rtc::dtls::{Config, DtlsEvent, DtlsTransport, Identity, Listener, ListenerConfig, PeerVerification};
/// use kaon_rtc::layer::Layer;
///
/// let provider = aws_lc_rs::provider();
/// let identity = Identity::generate(&provider)?;
/// let config = Arc::new(Config::new(provider, identity));
/// let mut listener = Listener::new(config, PeerVerification::AcceptAny, ListenerConfig::default())?;
///
/// // After each datagram and timeout:
/// while let Some(told) = listener.poll_event() {
///     if let DtlsEvent::ApplicationData(data) = &told.event {
///         println!("{}: {} bytes", told.path.remote, data.len());
///         if let Some(client) = listener.connection_mut(&told.path) {
///             let mut record = Vec::new();
///             client.seal(b"thank you", &mut record)?;
///         }
///     }
/// }
/// # Ok::<(), kaon_rtc::dtls::DtlsError>(())
/// ```
#[derive(Debug)]
pub struct Listener {
    connection_config: Arc<Config>,
    verification: PeerVerification,
    config: ListenerConfig,
    cookies: Cookies,
    /// Allocated once, at its limit if that is not beyond [`MAX_RESERVED_COOKIES`].
    requests: VecDeque<HelloVerify>,
    /// By addresses, which a client with many can choose.
    paths: HashMap<FiveTuple, Served, NameHash>,
    entries: Slab<Entry>,
    timers: BTreeSet<(Instant, usize)>,
    /// Connections that may have something to send.
    sending: VecDeque<usize>,
    /// Connections that may have something to tell.
    telling: VecDeque<usize>,
    stats: Stats,
}

/// What a listener holds at most.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenerConfig {
    /// The connections, those that are being made included. 4096 by default; further clients are not
    /// answered.
    pub max_connections: usize,
    /// The cookies that wait to be sent. 256 by default; when clients come faster than
    /// [`poll_transmit`](Layer::poll_transmit) is called, the rest has to repeat its hello.
    pub max_pending_cookies: usize,
    /// How long a secret makes cookies. 60 s by default; a cookie is good for one to two of these.
    pub cookie_lifetime: Duration,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        Self { max_connections: 4096, max_pending_cookies: 256, cookie_lifetime: Duration::from_secs(60) }
    }
}

/// What happened on one of a listener's connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerEvent {
    /// Whose connection.
    pub path: FiveTuple,
    /// What happened.
    pub event: DtlsEvent,
}

/// A HelloVerifyRequest that waits to be sent.
#[derive(Debug)]
struct HelloVerify {
    path: FiveTuple,
    seq: MessageSeq,
    record: SequenceNumber,
    cookie: [u8; COOKIE_LEN],
}

/// The connections of one path.
#[derive(Clone, Copy, Debug)]
struct Served {
    current: usize,
    /// The handshake of a client that starts anew.
    successor: Option<usize>,
}

/// What a connection is to its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Current,
    /// Its handshake has yet to prove that it is the client's; nothing is told of it until then.
    Successor,
    /// Another has taken its place; what it has to tell is still told.
    Abandoned,
}

#[derive(Debug)]
struct Entry {
    path: FiveTuple,
    /// Of the ClientHello, by which a repeated one is told from one that begins anew.
    client_random: Random,
    standing: Standing,
    connection: Connection,
    /// As it stands in `timers`.
    timer: Option<Instant>,
    is_sending: bool,
    is_telling: bool,
}

/// The beginning of a ClientHello that begins a datagram.
struct FirstHello<'a> {
    seq: MessageSeq,
    record: SequenceNumber,
    hello: ClientHelloStart<'a>,
}

impl<'a> FirstHello<'a> {
    fn read(bytes: &'a mut [u8]) -> Result<Self, Ignored> {
        let malformed = |field: Malformed| Ignored::Malformed(field.0);
        let (record, _) = Record::split(bytes).map_err(malformed)?;
        if record.epoch != Epoch::PLAINTEXT {
            return Err(Ignored::Epoch);
        }
        if record.content_type != ContentType::Handshake {
            return Err(Ignored::Malformed("no ClientHello from an unknown client"));
        }
        let fragment = Fragment::read(&mut Reader::new(record.fragment)).map_err(malformed)?;
        let HandshakeHeader { kind, seq, fragment_offset, .. } = fragment.header;
        if kind != HandshakeType::ClientHello || fragment_offset != 0 {
            return Err(Ignored::Malformed("no ClientHello from an unknown client"));
        }
        let hello = ClientHelloStart::read(&mut Reader::new(fragment.body)).map_err(malformed)?;
        Ok(Self { seq, record: record.sequence, hello })
    }
}

impl Listener {
    /// A listener whose connections share `connection_config`, and judge their clients by `verification`.
    ///
    /// # Errors
    /// [`DtlsError::Config`].
    pub fn new(
        connection_config: Arc<Config>,
        verification: PeerVerification,
        config: ListenerConfig,
    ) -> Result<Self, DtlsError> {
        // Says what is wrong now, not when the first client comes.
        Connection::server(connection_config.clone(), verification.clone())?;
        let mut random = [0; 16];
        connection_config.provider.random.fill(&mut random);
        Ok(Self {
            paths: HashMap::with_hasher(HashKeys::new(random).names()),
            cookies: Cookies::new(&connection_config.provider, config.cookie_lifetime),
            requests: VecDeque::with_capacity(config.max_pending_cookies.min(MAX_RESERVED_COOKIES)),
            connection_config,
            verification,
            config,
            entries: Slab::new(),
            timers: BTreeSet::new(),
            sending: VecDeque::new(),
            telling: VecDeque::new(),
            stats: Stats::default(),
        })
    }

    /// Has connections that begin from now on made by another configuration, such as one with a certificate that was
    /// renewed. Those that stand go on, and so do handshakes that a cookie was returned for.
    ///
    /// # Errors
    /// [`DtlsError::Config`], and nothing changes.
    pub fn set_connection_config(&mut self, connection_config: Arc<Config>) -> Result<(), DtlsError> {
        Connection::server(connection_config.clone(), self.verification.clone())?;
        self.connection_config = connection_config;
        Ok(())
    }

    /// What was counted of datagrams that belong to no connection.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The number of connections, handshakes included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no connection.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The connection of a client.
    pub fn connection(&self, path: &FiveTuple) -> Option<&Connection> {
        self.paths
            .get(path)
            .and_then(|served| self.entries.get(served.current))
            .map(|entry| &entry.connection)
    }

    /// The connection of a client, to send on or to close. What it wants to send afterwards comes out of
    /// [`poll_transmit`](Layer::poll_transmit) of the listener.
    pub fn connection_mut(&mut self, path: &FiveTuple) -> Option<&mut Connection> {
        let key = self.paths.get(path)?.current;
        self.touch(key);
        self.entries.get_mut(key).map(|entry| &mut entry.connection)
    }

    /// Takes the connection of a client out of the listener, to be driven by itself from now on. Datagrams of
    /// the same client that come to the listener afterwards are those of a new one.
    pub fn take(&mut self, path: &FiveTuple) -> Option<Connection> {
        let key = self.paths.get(path)?.current;
        self.remove(key)
    }

    /// As [`handle_datagram`](Layer::handle_datagram), but hands application data to `deliver`, decrypted in
    /// place, as [`DtlsTransport::receive`] does.
    ///
    /// # Errors
    /// As there.
    pub fn receive(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        deliver: &mut dyn FnMut(&mut [u8]),
    ) -> Result<(), DtlsError> {
        self.route(now, datagram, |connection, datagram| connection.receive(now, datagram, deliver))
    }

    fn route(
        &mut self,
        now: Instant,
        datagram: Datagram<'_>,
        mut take: impl FnMut(&mut Connection, Datagram<'_>) -> Result<(), DtlsError>,
    ) -> Result<(), DtlsError> {
        let path = datagram.path;
        let served = match self.paths.get(&path) {
            Some(served) if !self.begins_anew(*served, datagram.bytes) => *served,
            _ => match self.meet(now, path, datagram.bytes)? {
                Some(served) => served,
                None => return Ok(()),
            },
        };
        let Some(successor) = served.successor else {
            return self.give(served.current, datagram, &mut take);
        };
        // Only its keys say which of the two a record belongs to, and opening it with the wrong ones spoils it.
        let mut copy = datagram.bytes.to_vec();
        let by_current = self.give(served.current, Datagram { bytes: &mut copy, ..datagram }, &mut take);
        let by_successor = self.give(successor, datagram, &mut take);
        self.replace_if_proven(&path);
        by_current.or(by_successor)
    }

    fn give(
        &mut self,
        key: usize,
        datagram: Datagram<'_>,
        take: &mut impl FnMut(&mut Connection, Datagram<'_>) -> Result<(), DtlsError>,
    ) -> Result<(), DtlsError> {
        let Some(entry) = self.entries.get_mut(key) else { return Err(DtlsError::NotConnected) };
        let result = take(&mut entry.connection, datagram);
        self.touch(key);
        result
    }

    /// Whether a datagram begins a ClientHello that none of the connections of its path began with.
    fn begins_anew(&self, served: Served, bytes: &mut [u8]) -> bool {
        let Ok(FirstHello { hello, .. }) = FirstHello::read(bytes) else { return false };
        let began_with =
            |key: usize| self.entries.get(key).is_some_and(|entry| entry.client_random == hello.random);
        !began_with(served.current) && !served.successor.is_some_and(began_with)
    }

    /// Answers a client that is not known: by a cookie, or by a connection if it brings one.
    fn meet(&mut self, now: Instant, path: FiveTuple, bytes: &mut [u8]) -> Result<Option<Served>, DtlsError> {
        self.stats.datagrams += 1;
        self.answer(now, path, bytes).map_err(|ignored| self.stats.ignore(ignored))
    }

    fn answer(&mut self, now: Instant, path: FiveTuple, bytes: &mut [u8]) -> Result<Option<Served>, Ignored> {
        let first = FirstHello::read(bytes)?;
        self.cookies.rotate(&self.connection_config.provider, now);
        if self.cookies.verify(path, &first.hello) {
            return self.accept(path, &first).map(Some);
        }
        if self.requests.len() >= self.config.max_pending_cookies {
            return Err(Ignored::OverLimit("more clients than max_pending_cookies"));
        }
        let cookie = self.cookies.issue(path, &first.hello);
        self.requests.push_back(HelloVerify { path, seq: first.seq, record: first.record, cookie });
        Ok(None)
    }

    fn accept(&mut self, path: FiveTuple, first: &FirstHello<'_>) -> Result<Served, Ignored> {
        self.make_way(&path);
        if self.entries.len() >= self.config.max_connections {
            return Err(Ignored::OverLimit("more clients than max_connections"));
        }
        let config = self.connection_config.clone();
        let connection = Connection::accept(config, self.verification.clone(), true, first.seq, first.record)
            .map_err(|_| Ignored::Malformed("the configuration makes no server"))?;
        let current = self.paths.get(&path).map(|served| served.current);
        let key = self.entries.insert(Entry {
            path,
            client_random: first.hello.random,
            standing: if current.is_some() { Standing::Successor } else { Standing::Current },
            connection,
            timer: None,
            is_sending: false,
            is_telling: false,
        });
        let served = match current {
            Some(current) => Served { current, successor: Some(key) },
            None => Served { current: key, successor: None },
        };
        self.paths.insert(path, served);
        Ok(served)
    }

    /// Forgets a handshake that a client has given up by beginning another: it is the client, since it
    /// returned a cookie, and no handshake that is not complete is worth keeping beside a newer one.
    fn make_way(&mut self, path: &FiveTuple) {
        let Some(&Served { current, successor }) = self.paths.get(path) else { return };
        for key in successor.into_iter().chain([current]) {
            if self.entries.get(key).is_some_and(|entry| entry.connection.is_handshaking()) {
                self.remove(key);
            }
        }
    }

    /// RFC 6347 §4.2.8: after a correct Finished the connection before is abandoned.
    fn replace_if_proven(&mut self, path: &FiveTuple) {
        let Some(served) = self.paths.get_mut(path) else { return };
        let Served { current, successor: Some(successor) } = *served else { return };
        let proven = |entry: &Entry| !entry.connection.is_handshaking() && !entry.connection.is_ended();
        let Some(entry) = self.entries.get_mut(successor).filter(|entry| proven(entry)) else { return };
        entry.standing = Standing::Current;
        *served = Served { current: successor, successor: None };
        if let Some(old) = self.entries.get_mut(current) {
            old.standing = Standing::Abandoned;
            old.connection.abandon();
            // The end of the one is told before the beginning of the other.
            if std::mem::replace(&mut old.is_telling, true) {
                self.telling.retain(|queued| *queued != current);
            }
            self.telling.push_front(current);
        }
        self.touch(current);
        self.touch(successor);
    }

    /// Notes that a connection may have something to send or to tell, or waits for another time.
    fn touch(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if !std::mem::replace(&mut entry.is_sending, true) {
            self.sending.push_back(key);
        }
        if !std::mem::replace(&mut entry.is_telling, true) {
            self.telling.push_back(key);
        }
        self.set_timer(key);
    }

    fn set_timer(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let timer = entry.connection.poll_timeout();
        if timer == entry.timer {
            return;
        }
        if let Some(old) = std::mem::replace(&mut entry.timer, timer) {
            self.timers.remove(&(old, key));
        }
        if let Some(new) = timer {
            self.timers.insert((new, key));
        }
    }

    /// Forgets a connection that has ended, once all of it was sent and told.
    fn forget_if_over(&mut self, key: usize) {
        let Some(entry) = self.entries.get(key) else { return };
        if entry.connection.is_ended() && !entry.is_sending && !entry.is_telling {
            self.remove(key);
        }
    }

    fn remove(&mut self, key: usize) -> Option<Connection> {
        let Entry { path, connection, timer, is_sending, is_telling, .. } = self.entries.try_remove(key)?;
        match self.paths.get_mut(&path) {
            Some(served) if served.successor == Some(key) => served.successor = None,
            Some(served) if served.current == key => match served.successor.take() {
                Some(successor) => {
                    served.current = successor;
                    if let Some(entry) = self.entries.get_mut(successor) {
                        entry.standing = Standing::Current;
                    }
                    self.touch(successor);
                }
                None => drop(self.paths.remove(&path)),
            },
            _ => {}
        }
        if let Some(timer) = timer {
            self.timers.remove(&(timer, key));
        }
        // The key may be used again, so no queue may hold it.
        if is_sending {
            self.sending.retain(|queued| *queued != key);
        }
        if is_telling {
            self.telling.retain(|queued| *queued != key);
        }
        Some(connection)
    }
}

impl Layer for Listener {
    type Event = ListenerEvent;
    type Error = DtlsError;

    fn handle_datagram(&mut self, now: Instant, datagram: Datagram<'_>) -> Result<(), DtlsError> {
        self.route(now, datagram, |connection, datagram| connection.handle_datagram(now, datagram))
    }

    fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(due, key)) = self.timers.first() {
            if due > now {
                return;
            }
            self.timers.pop_first();
            if let Some(entry) = self.entries.get_mut(key) {
                entry.timer = None;
                entry.connection.handle_timeout(now);
            }
            self.touch(key);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(due, _)| *due)
    }

    fn poll_transmit(&mut self, now: Instant, out: &mut TransmitBatch) -> Option<Transmit> {
        if let Some(HelloVerify { path, seq, record, cookie }) = self.requests.pop_front() {
            // The numbers of the hello that is answered, since none are kept (RFC 6347 §4.2.1).
            let mut epochs = WriteEpochs::new(record);
            let mut segments = out.segments(Some(path), None);
            let written =
                epochs.write(Epoch::PLAINTEXT, ContentType::Handshake, segments.datagram(), |out| {
                    let length = HELLO_VERIFY_REQUEST_LEN;
                    HandshakeHeader::whole(HandshakeType::HelloVerifyRequest, seq, length).put(out);
                    put_hello_verify_request(out, &cookie);
                });
            if written.is_ok() {
                segments.end_datagram();
            }
            return segments.finish();
        }
        while let Some(&key) = self.sending.front() {
            if let Some(entry) = self.entries.get_mut(key) {
                if let Some(mut transmit) = entry.connection.poll_transmit(now, out) {
                    transmit.path = Some(entry.path);
                    self.set_timer(key);
                    return Some(transmit);
                }
                entry.is_sending = false;
            }
            self.sending.pop_front();
            self.set_timer(key);
            self.forget_if_over(key);
        }
        None
    }

    fn poll_event(&mut self) -> Option<ListenerEvent> {
        while let Some(&key) = self.telling.front() {
            if let Some(entry) = self.entries.get_mut(key) {
                if entry.standing != Standing::Successor
                    && let Some(event) = entry.connection.poll_event()
                {
                    return Some(ListenerEvent { path: entry.path, event });
                }
                entry.is_telling = false;
            }
            self.telling.pop_front();
            self.forget_if_over(key);
        }
        None
    }
}

#[cfg(test)]
#[cfg(any(feature = "aws-lc-rs", feature = "rust-crypto"))]
mod tests;
