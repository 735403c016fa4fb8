use std::net::Ipv4Addr;

use super::*;
use crate::ice::AddressRewriteRule;

/// The candidates of an offer.
async fn candidates(connection: &PeerConnection) -> Vec<String> {
    connection.create_data_channel("chat").unwrap();
    connection.set_local_description(None).unwrap();
    connection.gathering_complete().await;
    let text = connection.local_description().unwrap().text();
    text.lines().filter(|line| line.starts_with("a=candidate:")).map(str::to_owned).collect()
}

fn port_of(endpoint: &Endpoint) -> String {
    format!(" {} typ host", endpoint.local_addr().port())
}

#[tokio::test]
async fn an_endpoint_tells_its_public_address() {
    let public = Ipv4Addr::new(203, 0, 113, 7);
    let socket = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).loopback(true);
    let endpoint = socket.clone().address_rewrite(AddressRewriteRule::replace(public)).bind().unwrap();
    let told = candidates(&on(&endpoint).await).await;
    assert!(
        matches!(&told[..], [one] if one.ends_with(&format!("203.0.113.7{}", port_of(&endpoint)))),
        "{told:?}"
    );

    // The rule of a connection comes before that of its endpoint.
    let nearer = AddressRewriteRule::append(Ipv4Addr::new(198, 51, 100, 1));
    let builder = PeerConnection::builder().endpoint(&endpoint).address_rewrite(nearer.clone());
    let told = candidates(&builder.build().await.unwrap()).await;
    assert!(
        matches!(&told[..], [host, far] if host.contains(" 127.0.0.1 ") && far.contains(" 198.51.100.1 ")),
        "{told:?}"
    );

    // A connection with a socket of its own.
    let builder = PeerConnection::builder().socket(socket).address_rewrite(nearer);
    let told = candidates(&builder.build().await.unwrap()).await;
    assert_eq!(told.len(), 2, "{told:?}");
}

/// The peer is on this machine, where nobody has the public address: it is reached by the checks of this side.
#[tokio::test]
async fn a_neighbour_is_reached_although_it_is_told_another_address() {
    let rule = AddressRewriteRule::replace(Ipv4Addr::new(203, 0, 113, 7));
    let socket = Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).loopback(true);
    let alice = PeerConnection::builder().socket(socket.clone()).address_rewrite(rule).build().await.unwrap();
    let bob = PeerConnection::builder().socket(socket).build().await.unwrap();
    let chat = alice.create_data_channel("chat").unwrap();
    negotiate(&alice, &bob).await;
    timeout(LONG, chat.opened()).await.unwrap().unwrap();
}

#[tokio::test]
async fn hidden_addresses_are_told_by_names_that_resolve() {
    let endpoint =
        Endpoint::builder().address("127.0.0.1:0".parse().unwrap()).hide_addresses(true).bind().unwrap();
    let connection = PeerConnection::builder().endpoint(&endpoint).build().await.unwrap();
    connection.create_data_channel("chat").unwrap();
    connection.set_local_description(None).unwrap();
    connection.gathering_complete().await;
    let offer = connection.local_description().unwrap().text();
    let line = offer.lines().find(|line| line.starts_with("a=candidate:")).unwrap();
    assert!(!offer.contains("127.0.0.1 ") || !line.contains("127.0.0.1"), "{offer}");
    assert!(line.contains(".local ") && line.contains(" typ host"), "{line}");
}
