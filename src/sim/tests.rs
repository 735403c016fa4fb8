use std::time::{Duration, Instant};

use super::*;
use crate::layer::FiveTuple;

fn ip(last: u8) -> std::net::IpAddr {
    [10, 0, 0, last].into()
}

fn path(from: u8, to: u8) -> FiveTuple {
    FiveTuple::udp((ip(from), 1).into(), (ip(to), 2).into())
}

/// Sends `count` numbered datagrams at once and returns when each arrived, in order of arrival.
fn arrivals(seed: u64, link: Link, count: u32) -> Vec<(Duration, u32)> {
    let epoch = Instant::now();
    let mut network = Network::new(seed, epoch);
    network.add_host([ip(1)]);
    network.add_host([ip(2)]);
    network.set_default_link(link);
    for number in 0..count {
        network.send(path(1, 2), None, &number.to_be_bytes());
    }
    let mut arrivals = Vec::new();
    while let Some(next) = network.next_arrival() {
        network.advance_to(next);
        while let Some(delivery) = network.deliver() {
            assert_eq!(delivery.path, FiveTuple::udp((ip(2), 2).into(), (ip(1), 1).into()));
            arrivals.push((network.now() - epoch, u32::from_be_bytes(delivery.bytes.try_into().unwrap())));
        }
    }
    arrivals
}

#[test]
fn a_perfect_link_delivers_in_order_at_once() {
    let expected: Vec<_> = (0..100).map(|number| (Duration::ZERO, number)).collect();
    assert_eq!(arrivals(1, Link::default(), 100), expected);
}

#[test]
fn the_seed_determines_the_run() {
    let link = || Link {
        delay: Duration::from_millis(50),
        jitter: Duration::from_millis(20),
        loss: 0.2,
        reordering: 0.2,
        duplication: 0.1,
        corruption: 0.1,
        ..Link::default()
    };
    assert_eq!(arrivals(5, link(), 500), arrivals(5, link(), 500));
    assert_ne!(arrivals(5, link(), 500), arrivals(6, link(), 500));
}

#[test]
fn loss_and_duplication_have_their_probability() {
    let lost = 10_000 - arrivals(2, Link { loss: 0.3, ..Link::default() }, 10_000).len();
    assert!((2_700..3_300).contains(&lost), "{lost}");
    let doubled = arrivals(3, Link { duplication: 0.1, ..Link::default() }, 10_000).len() - 10_000;
    assert!((800..1_200).contains(&doubled), "{doubled}");
}

#[test]
fn jitter_keeps_the_order_and_reordering_does_not() {
    let jitter =
        Link { delay: Duration::from_millis(9), jitter: Duration::from_millis(9), ..Link::default() };
    assert!(arrivals(4, jitter.clone(), 1_000).is_sorted_by_key(|(_, number)| *number));
    let reordering = Link { reordering: 0.1, ..jitter };
    assert!(!arrivals(4, reordering, 1_000).is_sorted_by_key(|(_, number)| *number));
}

#[test]
fn corruption_flips_one_bit() {
    let numbers = arrivals(8, Link { corruption: 1.0, ..Link::default() }, 100);
    assert!(numbers.iter().zip(0u32..).all(|((_, got), sent)| (got ^ sent).count_ones() == 1));
}

#[test]
fn a_rate_spaces_datagrams_and_its_queue_overflows() {
    let link = Link { rate: Some(4_000), queue: 40, ..Link::default() };
    let expected: Vec<_> = (0..10).map(|n| (Duration::from_millis(u64::from(n) + 1), n)).collect();
    assert_eq!(arrivals(1, link, 25), expected);
}

#[test]
fn a_link_that_is_down_or_too_narrow_delivers_nothing() {
    assert!(arrivals(1, Link { up: false, ..Link::default() }, 10).is_empty());
    assert!(arrivals(1, Link { max_datagram: 3, ..Link::default() }, 10).is_empty());
}

#[test]
fn a_nat_maps_and_filters() {
    use NatBehavior::*;
    for (mapping, filtering) in [
        (EndpointIndependent, EndpointIndependent),
        (EndpointIndependent, AddressDependent),
        (AddressDependent, AddressAndPortDependent),
        (AddressAndPortDependent, AddressAndPortDependent),
    ] {
        let mut network = Network::new(1, Instant::now());
        let inside = network.add_host_behind(Nat::new(ip(100), mapping, filtering), [ip(1)]);
        let outside = network.add_host([ip(2), ip(3)]);

        network.send(path(1, 2), None, b"out");
        let out = network.deliver().unwrap();
        assert_eq!((out.host, out.path.remote.ip()), (outside, ip(100)));
        network.send(out.path, None, b"back");
        assert_eq!(network.deliver().unwrap().host, inside);

        // From the same address and another port, from another address, and to the private address.
        let mut reaches = |local: (std::net::IpAddr, u16), remote| {
            network.send(FiveTuple::udp(local.into(), remote), None, b"in");
            network.deliver().is_some()
        };
        let public = out.path.remote;
        assert_eq!(reaches((ip(2), 9), public), filtering != AddressAndPortDependent);
        assert_eq!(reaches((ip(3), 2), public), filtering == EndpointIndependent);
        assert!(!reaches((ip(2), 2), (ip(1), 1).into()));

        network.send(path(1, 3), None, b"out");
        let other = network.deliver().unwrap().path.remote;
        assert_eq!(other == public, mapping == EndpointIndependent);
    }
}
