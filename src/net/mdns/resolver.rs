//! A querier on sockets.

use std::io;
use std::net::IpAddr;
use std::time::Instant;

use rustc_hash::FxHashMap;
use tokio::sync::{mpsc, oneshot};

use crate::layer::Layer;
use crate::net::InterfaceFilter;

use super::LocalName;
use super::querier::{Querier, QuerierConfig, Resolution, ResolveError};
use super::sockets::{End, Link};

/// How a [`Resolver`] works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResolverConfig {
    /// Whom to ask and for how long.
    pub querier: QuerierConfig,
    /// The interfaces to ask on.
    pub interfaces: InterfaceFilter,
    /// How many callers may wait at once, for whatever names; further ones wait for their turn to ask. 1024 by
    /// default.
    pub max_waiting: usize,
}

impl Default for ResolverConfig {
    fn default() -> Self {
        // The names themselves do not lead to link-local addresses, but their interfaces have links.
        let mut interfaces = InterfaceFilter::default();
        interfaces.link_local = true;
        Self { querier: QuerierConfig::default(), interfaces, max_waiting: 1024 }
    }
}

/// Finds the addresses behind the `.local` names of ICE candidates.
///
/// One task with a few sockets serves all clones of a resolver, and ends when the last of them is dropped.
/// Equal questions are asked once, answers are kept for their time to live.
///
/// ```no_run
/// use kaon_rtc::net::mdns::{Resolver, ResolverConfig};
///
/// # async fn resolve() -> Result<(), Box<dyn std::error::Error>> {
/// let resolver = Resolver::new(ResolverConfig::default())?;
/// let ip = resolver.resolve("1f4712db-ea17-4bcf-a596-105139dfd8bf.local").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Resolver {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    name: LocalName,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<IpAddr, ResolveError>>;

impl Resolver {
    /// Opens the sockets and starts the task.
    ///
    /// # Errors
    /// When no interface can be asked on, or outside a tokio runtime.
    pub fn new(config: ResolverConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let max_waiting = config.max_waiting.max(1);
        let groups = config.querier.groups.clone();
        let link = Link::open(Querier::new(config.querier), End::Querier, &groups, &config.interfaces)?;
        let (requests, receiver) = mpsc::channel(16);
        let task = Task { link, waiting: FxHashMap::default(), max_waiting };
        runtime.spawn(task.run(receiver));
        Ok(Self { requests })
    }

    /// The address behind `name`: one label below `.local`.
    ///
    /// Cancel safe: the question goes on without the future, for the sake of others that ask the same.
    ///
    /// # Errors
    /// Says why there is none.
    pub async fn resolve(&self, name: &str) -> Result<IpAddr, ResolveError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { name: name.parse()?, reply };
        self.requests.send(request).await.map_err(|_| ResolveError::Ended)?;
        answer.await.map_err(|_| ResolveError::Ended)?
    }
}

struct Task {
    link: Link<Querier>,
    waiting: FxHashMap<LocalName, Vec<Reply>>,
    max_waiting: usize,
}

impl Task {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        loop {
            self.link.flush();
            while let Some(Resolution { name, result }) = self.link.layer.poll_event() {
                for reply in self.waiting.remove(&name).into_iter().flatten() {
                    // Nobody may be waiting any more.
                    let _ = reply.send(result.clone());
                }
            }
            let may_ask = self.waiting.values().map(Vec::len).sum::<usize>() < self.max_waiting;
            tokio::select! {
                request = requests.recv(), if may_ask => match request {
                    Some(request) => self.ask(request),
                    None => return,
                },
                () = self.link.step() => {}
            }
        }
    }

    fn ask(&mut self, Request { name, reply }: Request) {
        self.link.follow_at_times();
        match self.link.layer.ask(Instant::now(), name.clone()) {
            Ok(()) => {
                let waiting = self.waiting.entry(name).or_default();
                waiting.retain(|reply| !reply.is_closed());
                waiting.push(reply);
            }
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}
