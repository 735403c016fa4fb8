//! The client of this library at the server of this library, with loss.

use super::*;
use crate::turn::{Client, Families, Opened};

struct Play {
    world: World,
    client: Client,
    random: SeededRandom,
    /// Of 256 datagrams so many are lost, either way.
    loss: u64,
    /// What the peer got, and by which path.
    got: Vec<(FiveTuple, Vec<u8>)>,
    /// What the client got.
    opened: Vec<(SocketAddr, Vec<u8>)>,
    events: Vec<crate::turn::Event>,
}

impl Play {
    fn new(seed: u64, loss: u64, server: Config, client: crate::turn::Config) -> Self {
        let world = World::new(server);
        let provider = provider().with_random(Arc::new(SeededRandom::new(seed)));
        let to_server = FiveTuple::udp(path(1).remote, path(1).local);
        let client = Client::new(world.now, &provider, to_server, client).unwrap();
        let random = SeededRandom::new(seed);
        Self { world, client, random, loss, got: Vec::new(), opened: Vec::new(), events: Vec::new() }
    }

    fn is_lost(&self) -> bool {
        self.random.next_u64() % 256 < self.loss
    }

    fn carry(&mut self) {
        let mut batch = TransmitBatch::new(1200);
        while let Some(transmit) = self.client.poll_transmit(self.world.now, &mut batch) {
            for datagram in batch.datagrams(&transmit).map(<[u8]>::to_vec).collect::<Vec<_>>() {
                if !self.is_lost() {
                    let sent = self.world.arrives(path(1), &datagram);
                    self.deliver(sent);
                }
            }
        }
        self.events.extend(std::iter::from_fn(|| self.client.poll_event()));
    }

    fn deliver(&mut self, sent: Vec<(FiveTuple, Vec<u8>)>) {
        for (to, mut bytes) in sent {
            if to != path(1) {
                self.got.push((to, bytes));
            } else if !self.is_lost() {
                let back = FiveTuple::udp(to.remote, to.local);
                if let Ok(Opened::Data { peer, range }) =
                    self.client.open(self.world.now, Datagram::new(back, &mut bytes))
                {
                    self.opened.push((peer, bytes[range].to_vec()));
                }
            }
        }
    }

    fn pass(&mut self, duration: Duration) {
        let end = self.world.now + duration;
        self.carry();
        while let Some(at) = self.client.poll_timeout().filter(|at| *at <= end) {
            self.world.now = self.world.now.max(at);
            self.world.pass(0);
            self.client.handle_timeout(self.world.now);
            self.carry();
        }
        self.world.now = end;
        self.world.pass(0);
    }

    fn relayed(&self) -> SocketAddr {
        self.client.allocation().unwrap().relayed[0]
    }

    fn peer_sends(&mut self, data: &[u8]) {
        let sent = self.world.arrives(FiveTuple::udp(self.relayed(), peer(7)), data);
        self.deliver(sent);
    }
}

#[test]
fn allocations_stand_for_hours_through_loss() {
    for seed in 0..40 {
        let mut play = Play::new(seed, 40, config(), crate::turn::Config::new(USER, PASSWORD));
        play.client.bind(play.world.now, peer(7)).unwrap();
        play.pass(Duration::from_secs(60));
        let relayed = play.relayed();
        for _ in 0..12 {
            play.pass(Duration::from_secs(600));
            play.loss = 0;
            play.peer_sends(b"still there");
            play.loss = 40;
        }
        assert_eq!(play.relayed(), relayed, "seed {seed}: one allocation, refreshed through stale nonces");
        assert_eq!(play.opened, vec![(peer(7), b"still there".to_vec()); 12], "seed {seed}");
        assert!(play.client.channel(peer(7)).is_some(), "seed {seed}");
        play.client.close(play.world.now);
        play.pass(Duration::from_secs(60));
        play.world.pass(3600);
        assert_eq!(play.world.server.statistics().allocations, 0, "seed {seed}");
    }
}

#[test]
fn every_algorithm_and_family_of_the_client_is_served() {
    let algorithms = vec![PasswordAlgorithm::Sha256, PasswordAlgorithm::Md5];
    for password_algorithms in [vec![], algorithms] {
        for families in [Families::Ipv4, Families::Ipv6, Families::Both] {
            let mut asked = crate::turn::Config::new(USER, PASSWORD);
            asked.families = families;
            let server = Config { password_algorithms: password_algorithms.clone(), ..config() };
            let mut play = Play::new(1, 0, server, asked);
            play.pass(Duration::from_secs(1));
            let allocation = play.client.allocation().unwrap();
            assert_eq!(allocation.relayed.len(), if families == Families::Both { 2 } else { 1 });
            assert_eq!(allocation.mapped, Some(path(1).remote));
        }
    }
}

#[test]
fn a_client_without_the_right_password_is_told() {
    let mut play = Play::new(1, 0, config(), crate::turn::Config::new(USER, "guess"));
    play.pass(Duration::from_secs(60));
    assert!(matches!(&play.events[..], [crate::turn::Event::Failed(_)]), "{:?}", play.events);
}
