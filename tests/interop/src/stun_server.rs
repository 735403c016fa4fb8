use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;

use kaon_rtc::stun::{Class, Message, MessageBuilder, Method};

/// Starts a STUN server on `ip` that tells everybody that they are seen as `mapped`, and returns where it listens.
/// It ends with the process.
pub fn stun_server(ip: IpAddr, mapped: SocketAddr) -> SocketAddr {
    let socket = UdpSocket::bind((ip, 0)).unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let (mut buffer, mut response) = ([0; 1500], Vec::new());
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let Ok(request) = Message::decode(&buffer[..length]) else { continue };
            response.clear();
            MessageBuilder::new(&mut response, Class::Success, Method::BINDING, request.transaction_id())
                .xor_mapped_address(mapped)
                .finish()
                .unwrap();
            let _ = socket.send_to(&response, from);
        }
    });
    address
}
