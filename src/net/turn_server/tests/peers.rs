//! RFC 6062 on sockets.

use tokio::net::TcpListener;

use super::*;
use crate::stun::{
    AttributeType, IntegrityKey, Message, MessageBuilder, Method, PasswordAlgorithm, TransactionId,
};
use crate::turn::RequestedTransport;

type Write<'w> = &'w dyn for<'b> Fn(MessageBuilder<'b>) -> MessageBuilder<'b>;

/// A connection of a client that asks for everything by hand.
struct Connection {
    stream: TcpStream,
    framing: StreamFraming,
    nonce: Vec<u8>,
    id: u8,
}

impl Connection {
    async fn new(server: &TurnServer) -> Self {
        let stream = TcpStream::connect(server.tcp_addrs()[0]).await.unwrap();
        let mut this = Self { stream, framing: StreamFraming::default(), nonce: Vec::new(), id: 0 };
        let answer = this.ask(Method::ALLOCATE, &|it| it).await;
        this.nonce = Message::decode(&answer).unwrap().nonce().unwrap().to_vec();
        this
    }

    fn request(&mut self, method: Method, write: Write<'_>) -> Vec<u8> {
        self.id += 1;
        let id = TransactionId([self.id; 12]);
        let mut bytes = Vec::new();
        let mut message = write(MessageBuilder::new(&mut bytes, crate::stun::Class::Request, method, id));
        if !self.nonce.is_empty() {
            let provider = default_provider().unwrap();
            let key = PasswordAlgorithm::Md5.key(&provider, "alice", "kaon", "secret").unwrap();
            message = message
                .username("alice")
                .attribute(AttributeType::REALM, b"kaon")
                .attribute(AttributeType::NONCE, &self.nonce)
                .integrity(&IntegrityKey::from_bytes(&provider, &key));
        }
        message.finish().unwrap();
        bytes
    }

    async fn ask(&mut self, method: Method, write: Write<'_>) -> Vec<u8> {
        let bytes = self.request(method, write);
        self.stream.write_all(&bytes).await.unwrap();
        self.next().await
    }

    async fn next(&mut self) -> Vec<u8> {
        let mut byte = [0; 1];
        let next = async {
            loop {
                if let Some(message) = self.framing.next_message().unwrap() {
                    return message.to_vec();
                }
                self.stream.read_exact(&mut byte).await.unwrap();
                self.framing.push(&byte);
            }
        };
        timeout(PATIENCE, next).await.expect("in time")
    }

    async fn allocate(&mut self) -> SocketAddr {
        let answer = self
            .ask(Method::ALLOCATE, &|it| {
                it.attribute(AttributeType::REQUESTED_TRANSPORT, &RequestedTransport::TCP.encode())
            })
            .await;
        Message::decode(&answer).unwrap().xor_address(AttributeType::XOR_RELAYED_ADDRESS).unwrap()
    }
}

fn connection_id(message: &[u8]) -> Vec<u8> {
    let message = Message::decode(message).unwrap();
    message.attribute(AttributeType::CONNECTION_ID).expect("a connection").to_vec()
}

async fn read(stream: &mut TcpStream, expected: &[u8]) {
    let mut bytes = vec![0; expected.len()];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(bytes, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_to_peers_and_from_them() {
    let server = serve();
    let mut control = Connection::new(&server).await;
    let relayed = control.allocate().await;
    // Outwards, with data right behind the request that binds the connection.
    let listener = TcpListener::bind(loopback()).await.unwrap();
    let peer = listener.local_addr().unwrap();
    let connected =
        control.ask(Method::CONNECT, &|it| it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)).await;
    let id = connection_id(&connected);
    let (mut at_peer, from) = timeout(PATIENCE, listener.accept()).await.unwrap().unwrap();
    assert_eq!(from, relayed);
    let mut data = Connection::new(&server).await;
    let refresh = data.request(Method::REFRESH, &|it| it);
    let bind = data.request(Method::CONNECTION_BIND, &|it| it.attribute(AttributeType::CONNECTION_ID, &id));
    data.stream.write_all(&[&refresh[..], &bind, b"GET / HTTP/1.0\r\n"].concat()).await.unwrap();
    let refused = data.next().await;
    assert_eq!(Message::decode(&refused).unwrap().error_code().unwrap().0.number(), 437);
    assert_eq!(connection_id(&data.next().await), id);
    read(&mut at_peer, b"GET / HTTP/1.0\r\n").await;
    let long = vec![7; 300_000];
    let (sent, ()) = tokio::join!(at_peer.write_all(&long), read(&mut data.stream, &long));
    sent.unwrap();
    // Half of it may end.
    at_peer.shutdown().await.unwrap();
    assert_eq!(timeout(PATIENCE, data.stream.read(&mut [0; 9])).await.unwrap().unwrap(), 0);
    data.stream.write_all(b"still here").await.unwrap();
    read(&mut at_peer, b"still here").await;
    drop(data);
    assert_eq!(timeout(PATIENCE, at_peer.read(&mut [0; 9])).await.unwrap().unwrap(), 0);
    // Inwards.
    let mut stranger = TcpStream::connect(relayed).await.unwrap();
    let end = timeout(PATIENCE, stranger.read(&mut [0; 9])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)), "without a permission");
    control.ask(Method::CREATE_PERMISSION, &|it| it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)).await;
    let mut caller = TcpStream::connect(relayed).await.unwrap();
    caller.write_all(b"early").await.unwrap();
    let attempt = control.next().await;
    assert_eq!(Message::decode(&attempt).unwrap().method(), Method::CONNECTION_ATTEMPT);
    let id = connection_id(&attempt);
    let mut data = Connection::new(&server).await;
    let bound =
        data.ask(Method::CONNECTION_BIND, &|it| it.attribute(AttributeType::CONNECTION_ID, &id)).await;
    assert_eq!(connection_id(&bound), id);
    read(&mut data.stream, b"early").await;
    data.stream.write_all(b"welcome").await.unwrap();
    read(&mut caller, b"welcome").await;
    // All ends with the control connection.
    drop(control);
    let end = timeout(PATIENCE, caller.read(&mut [0; 9])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
    let end = timeout(PATIENCE, data.stream.read(&mut [0; 9])).await.unwrap();
    assert!(matches!(end, Ok(0) | Err(_)));
    assert_eq!(server.statistics().allocations, 0);
    assert!(server.statistics().traffic.bytes_in >= 300_005);
    let gone = async {
        while TcpStream::connect(relayed).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, gone).await.expect("nobody listens there any more");
}

#[tokio::test]
async fn who_cannot_be_connected_to_is_told() {
    let server = serve();
    let mut control = Connection::new(&server).await;
    control.allocate().await;
    let gone = std::net::TcpListener::bind(loopback()).unwrap().local_addr().unwrap();
    let own = server.tcp_addrs()[0];
    for (peer, expected) in [(gone, 447), (own, 403), ("10.0.0.1:80".parse().unwrap(), 403)] {
        let answer =
            control.ask(Method::CONNECT, &|it| it.xor_address(AttributeType::XOR_PEER_ADDRESS, peer)).await;
        let (code, _) = Message::decode(&answer).unwrap().error_code().unwrap();
        assert_eq!(code.number(), expected, "{peer}");
    }
    // A connection that binds nothing goes on as one of the server.
    let mut other = Connection::new(&server).await;
    let id = [1, 2, 3, 4];
    let bind = other.request(Method::CONNECTION_BIND, &|it| it.attribute(AttributeType::CONNECTION_ID, &id));
    let refresh = other.request(Method::REFRESH, &|it| it);
    other.stream.write_all(&[bind, refresh].concat()).await.unwrap();
    for expected in [400, 437] {
        let answer = other.next().await;
        assert_eq!(Message::decode(&answer).unwrap().error_code().unwrap().0.number(), expected);
    }
}
