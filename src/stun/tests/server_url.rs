use super::*;

#[test]
fn urls_say_where_and_how() {
    use ServerTransport::{Dtls, Tcp, Tls, Udp};
    for (url, is_relay, host, port, transport) in [
        ("stun:example.org", false, "example.org", 3478, Udp),
        ("stun:Example.ORG:19302", false, "example.org", 19302, Udp),
        ("STUN:192.0.2.1", false, "192.0.2.1", 3478, Udp),
        ("stun:[2001:db8::1]:99", false, "[2001:db8::1]", 99, Udp),
        ("stun:[::1]", false, "[::1]", 3478, Udp),
        ("stun:example.org:", false, "example.org", 3478, Udp),
        ("stuns:example.org", false, "example.org", 5349, Tls),
        ("turn:example.org", true, "example.org", 3478, Udp),
        ("turn:a_b-c.example.org.:80?transport=tcp", true, "a_b-c.example.org.", 80, Tcp),
        ("turn:example.org?transport=UDP", true, "example.org", 3478, Udp),
        ("turns:example.org", true, "example.org", 5349, Tls),
        ("turns:example.org:443?transport=tcp", true, "example.org", 443, Tls),
        ("turns:[::1]?transport=udp", true, "[::1]", 5349, Dtls),
    ] {
        let parsed: ServerUrl = url.parse().unwrap();
        let told = (parsed.is_relay(), parsed.host().to_string(), parsed.port(), parsed.transport());
        assert_eq!(told, (is_relay, host.to_owned(), port, transport), "{url}");
        assert_eq!(parsed.to_string().parse(), Ok(parsed), "{url}");
    }
}

#[test]
fn wrong_urls_say_what_to_write() {
    for (url, hint) in [
        ("", "must begin with stun:"),
        ("example.org", "must begin with stun:"),
        ("http:example.org", "must begin with stun:"),
        ("turn://example.org", "no slashes"),
        ("turn:example.org/path", "no slashes"),
        ("turn:user@example.org", "beside it"),
        ("stun:", "is no host"),
        ("stun::1", "is no host"),
        ("stun:2001:db8::1", "in brackets"),
        ("stun:[2001:db8::1", "in brackets"),
        ("stun:[2001:db8::1]x", "in brackets"),
        ("stun:[fe80::1%eth0]", "in brackets"),
        ("stun:[192.0.2.1]", "in brackets"),
        ("stun:192.0.2.256", "is no host"),
        ("stun:1.2.3", "is no host"),
        ("stun:ex ample", "is no host"),
        ("stun:bücher.example", "is no host"),
        ("stun:host:port", "is no port"),
        ("stun:host:0", "is no port"),
        ("stun:host:65536", "is no port"),
        ("stun:host:+80", "is no port"),
        ("stun:host?transport=udp", "name a transport"),
        ("turn:host?transport=tls", "?transport=udp and"),
        ("turn:host?", "?transport=udp and"),
        ("turn:host?transport=udp&x", "?transport=udp and"),
    ] {
        let error = url.parse::<ServerUrl>().unwrap_err().to_string();
        assert!(error.contains(hint), "{url}: {error}");
    }
    let long = format!("stun:{}", "x".repeat(10_000)).parse::<ServerUrl>().unwrap_err();
    assert!(long.to_string().len() < 300);
}
