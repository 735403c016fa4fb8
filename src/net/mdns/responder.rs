//! An answerer on sockets.

use std::io;
use std::net::IpAddr;

use tokio::sync::{mpsc, oneshot};

use crate::net::InterfaceFilter;

use super::LocalName;
use super::answerer::{Answerer, AnswererConfig, TooManyNames};
use super::sockets::{End, Link};

/// How a [`Responder`] works.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ResponderConfig {
    /// What to answer.
    pub answerer: AnswererConfig,
    /// The interfaces to answer on.
    pub interfaces: InterfaceFilter,
}

impl Default for ResponderConfig {
    fn default() -> Self {
        let mut interfaces = InterfaceFilter::default();
        interfaces.link_local = true;
        Self { answerer: AnswererConfig::default(), interfaces }
    }
}

/// Answers for `.local` names of our own, so that ICE candidates need not show the addresses of this machine.
///
/// One task with a few sockets serves all clones of a responder, and ends when the last of them is dropped. Names that
/// somebody was told are said goodbye to then, and where one is withdrawn (RFC 6762 §10.1).
///
/// ```no_run
/// use kaon_rtc::net::mdns::{Responder, ResponderConfig};
///
/// # async fn hide() -> Result<(), Box<dyn std::error::Error>> {
/// let responder = Responder::new(ResponderConfig::default())?;
/// let name = responder.register("192.0.2.1".parse()?).await?;
/// println!("a=candidate:1 1 udp 2122260223 {name} 50000 typ host");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Responder {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
enum Request {
    Add { name: LocalName, ip: IpAddr, done: oneshot::Sender<Result<(), TooManyNames>> },
    Remove { name: LocalName },
}

impl Responder {
    /// Requests that wait at most, whatever the limit of names.
    const MAX_WAITING: usize = 8192;

    /// Opens the sockets and starts the task.
    ///
    /// # Errors
    /// When there is no interface to answer on, or outside a tokio runtime.
    pub fn new(config: ResponderConfig) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        let groups = config.answerer.groups.clone();
        // All names at once, and their end: what does not fit would be an address without a name, or a name for ever.
        let capacity = config.answerer.max_names.clamp(8, Self::MAX_WAITING / 2) * 2;
        let link = Link::open(Answerer::new(config.answerer), End::Answerer, &groups, &config.interfaces)?;
        let (requests, receiver) = mpsc::channel(capacity);
        runtime.spawn(run(link, receiver));
        Ok(Self { requests })
    }

    /// Makes a random name for `ip` and answers for it from now on.
    ///
    /// Not cancel safe: a dropped future may leave a name that nobody knows, until the responder ends.
    ///
    /// # Errors
    /// When there are too many names, or the task has ended with its runtime.
    pub async fn register(&self, ip: IpAddr) -> io::Result<LocalName> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = LocalName::from_random(random);
        let (done, registered) = oneshot::channel();
        self.send(Request::Add { name: name.clone(), ip, done }).await?;
        registered.await.map_err(io::Error::other)?.map_err(io::Error::other)?;
        Ok(name)
    }

    /// Answers for `name` no more.
    ///
    /// # Errors
    /// When the task has ended with its runtime.
    pub async fn unregister(&self, name: LocalName) -> io::Result<()> {
        self.send(Request::Remove { name }).await
    }

    /// The same at once, for those who cannot wait: the name is answered for as soon as the task of the responder has run.
    ///
    /// # Errors
    /// As [`register`](Self::register), and if too many requests wait; the limit of names is not told.
    pub fn publish(&self, ip: IpAddr) -> io::Result<LocalName> {
        let mut random = [0; 16];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name = LocalName::from_random(random);
        let (done, _) = oneshot::channel();
        let request = Request::Add { name: name.clone(), ip, done };
        self.requests
            .try_send(request)
            .map_err(|_| io::Error::other("the responder is busy, or has ended"))?;
        Ok(name)
    }

    /// Has a name answered for no more, as far as there is room to say so.
    pub fn withdraw(&self, name: LocalName) {
        // A responder that is busy answers for a name that nobody knows any more.
        let _ = self.requests.try_send(Request::Remove { name });
    }

    async fn send(&self, request: Request) -> io::Result<()> {
        let ended = |_| io::Error::other("the responder has ended; make a new one in a running runtime");
        self.requests.send(request).await.map_err(ended)
    }
}

async fn run(mut link: Link<Answerer>, mut requests: mpsc::Receiver<Request>) {
    loop {
        link.flush();
        tokio::select! {
            request = requests.recv() => match request {
                Some(Request::Add { name, ip, done }) => {
                    // It may be an address of a network that has just come.
                    link.follow();
                    let _ = done.send(link.layer.add(name, ip));
                }
                Some(Request::Remove { name }) => link.layer.remove(&name),
                None => {
                    // What is told goes to the sockets at once, since nobody waits for this task.
                    link.layer.clear();
                    return link.flush();
                }
            },
            () = link.step() => {}
        }
    }
}
