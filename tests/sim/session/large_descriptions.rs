use super::*;

/// How long the session of a peer that has answered one offer takes for the next, which `change` was let at. Meanwhile
/// it is locked, and with it the task that serves all connections of its endpoint.
fn time_of(change: impl Fn(String) -> String) -> Duration {
    let now = Instant::now();
    let [mut alice, mut bob] = [31, 32].map(|seed| Session::new(now, config(seed)));
    alice.add_track(TrackKind::Audio, TransceiverInit::default()).unwrap();
    alice.create_data_channel(now, ChannelInit::new("chat")).unwrap();
    for session in [&mut alice, &mut bob] {
        session.add_host_address(now, "10.0.0.1:5000".parse().unwrap()).unwrap();
        session.end_of_host_addresses(now);
    }
    alice.set_local_description(now, None).unwrap();
    alice.handle_timeout(now);
    let offer = alice.local_description().unwrap().text();
    bob.set_remote_description(now, &Description::offer(&offer).unwrap()).unwrap();
    bob.set_local_description(now, None).unwrap();
    let changed = Description::offer(&change(offer)).unwrap();
    let start = cpu_time();
    let result =
        bob.set_remote_description(now, &changed).and_then(|()| bob.set_local_description(now, None));
    let taken = cpu_time() - start;
    println!("{taken:?}, {:?}", result.err());
    taken
}

/// The time that this thread has had a processor, whatever else the machine does.
fn cpu_time() -> Duration {
    let statistics = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(statistics.split(' ').next().unwrap().parse().unwrap())
}

/// The kernel may count in steps of this length.
const CLOCK_TICK: Duration = Duration::from_millis(10);

/// Five times as much in a description takes five times as long, and not twenty-five times. `change` puts so many things
/// into an offer.
fn assert_linear(change: impl Fn(String, usize) -> String) {
    let time_of = |count| (0..3).map(|_| time_of(|offer| change(offer, count))).min().unwrap();
    let (few, many) = (time_of(6_000), time_of(30_000));
    assert!(many < 12 * (few + CLOCK_TICK), "{few:?} {many:?}");
}

#[test]
fn thirty_thousand_candidates_take_no_seconds() {
    assert_linear(|offer, count| {
        let mut text = offer;
        for number in 0..count {
            let (high, low) = (number / 250, number % 250);
            text.push_str(&format!("a=candidate:1 1 udp 1 10.1.{high}.{low} 9 typ host\r\n"));
        }
        text
    });
}

#[test]
fn as_many_candidates_in_the_section_of_the_transport_take_no_seconds() {
    assert_linear(|offer, count| {
        let at = offer.rfind("m=").unwrap();
        let mut text = offer[..at].to_owned();
        for number in 0..count {
            let (high, low) = (number / 250, number % 250);
            text.push_str(&format!("a=candidate:1 1 udp 1 10.1.{high}.{low} 9 typ host\r\n"));
        }
        text + &offer[at..]
    });
}

#[test]
fn many_sections_below_many_attributes_take_no_seconds() {
    assert_linear(|offer, count| {
        let first = offer.find("m=").unwrap();
        let second = offer[first + 2..].find("m=").unwrap() + first + 2;
        let (mut head, audio, data) = (offer[..first].to_owned(), &offer[first..second], &offer[second..]);
        for number in 0..count {
            head.push_str(&format!("a=x{number}:1\r\n"));
        }
        let short: String = audio
            .lines()
            .filter(|line| {
                line.starts_with("m=") || line.starts_with("c=") || line.starts_with("a=rtpmap:111")
            })
            .map(|line| format!("{line}\r\n"))
            .collect();
        let mut text = head + audio + data;
        for number in 2..250 {
            text.push_str(&format!("{short}a=mid:s{number}\r\na=rtcp-mux\r\n"));
        }
        let group = text.lines().find(|line| line.starts_with("a=group:BUNDLE")).unwrap().to_owned();
        let all: String = (2..250).map(|number| format!(" s{number}")).collect();
        text.replace(&group, &format!("{group}{all}"))
    });
}

#[test]
fn many_formats_with_many_parameters_take_no_seconds() {
    assert_linear(|offer, count| {
        let first = offer.find("m=").unwrap();
        let second = offer[first + 2..].find("m=").unwrap() + first + 2;
        let mut audio = offer[first..second].to_owned();
        let line = audio.lines().next().unwrap().to_owned();
        let formats: String = (0..120).map(|number| format!(" {}", number % 96)).collect();
        audio = audio.replacen(&line, &format!("{line}{formats}"), 1);
        for number in 0..count {
            audio.push_str(&format!("a=rtcp-fb:{} x{number}\r\n", number % 128));
        }
        offer[..first].to_owned() + &audio + &offer[second..]
    });
}

#[test]
fn many_extensions_take_no_seconds() {
    assert_linear(|offer, count| {
        let first = offer.find("m=").unwrap();
        let second = offer[first + 2..].find("m=").unwrap() + first + 2;
        let mut audio = offer[first..second].to_owned();
        for number in 0..count {
            audio.push_str(&format!("a=extmap:{} urn:x{number}\r\n", 1 + number % 250));
        }
        offer[..first].to_owned() + &audio + &offer[second..]
    });
}
