use super::*;

const ELSEWHERE: &str = "198.51.100.1:9999";

fn nominating(agent: &Agent, number: u8, value: u32, also_uses: bool) -> Vec<u8> {
    let local = agent.local_credentials();
    message(Class::Request, TransactionId([number; 12]), local.password(), |builder| {
        let builder = builder.ice_username(local.ufrag(), "peer").priority(7).ice_controlling(1);
        let builder = builder.nomination(value);
        if also_uses { builder.use_candidate() } else { builder }
    })
}

fn remote(scene: &Scene) -> SocketAddr {
    scene.agent.selected_pair().unwrap().path.remote
}

/// libwebrtc leaves USE-CANDIDATE out, Pion sends both.
#[test]
fn the_highest_value_counts_whatever_was_agreed_on() {
    for also_uses in [false, true] {
        let mut scene = Scene::connected(IceRole::Controlled);
        let mut number = 10;
        let mut nominate = |scene: &mut Scene, from: &str, value: u32| {
            number += 1;
            let request = nominating(&scene.agent, number, value, also_uses);
            scene.receive(from, &request).unwrap();
            for _ in 0..4 {
                scene.answer_checks();
                scene.advance(Duration::from_millis(50));
            }
            remote(scene)
        };
        let (here, elsewhere) = (address(REMOTE), address(ELSEWHERE));
        assert_eq!(nominate(&mut scene, ELSEWHERE, 1), elsewhere, "after a nomination without a value");
        assert_eq!(nominate(&mut scene, REMOTE, 3), here);
        assert_eq!(nominate(&mut scene, ELSEWHERE, 2), here, "less than before");
        assert_eq!(nominate(&mut scene, ELSEWHERE, 3), here, "no more than before");
        assert_eq!(nominate(&mut scene, REMOTE, 3), here, "once more");
        assert_eq!(nominate(&mut scene, ELSEWHERE, 0x0100_0000), elsewhere);
        if !also_uses {
            assert_eq!(nominate(&mut scene, REMOTE, 0), elsewhere, "0 nominates nothing");
        }
    }
}

#[test]
fn what_is_agreed_on_is_counted_with_the_nomination() {
    for agreed in [false, true] {
        let mut scene = Scene::configured(Instant::now(), Config { renomination: true, ..Config::default() });
        scene.agent.set_remote_options(IceOptions::new().with_renomination(agreed));
        scene.agent.set_remote_credentials(scene.now, credentials()).unwrap();
        scene.add_remote(REMOTE);
        let mut told = Vec::new();
        for _ in 0..30 {
            for (path, bytes) in scene.sent() {
                let request = Message::decode(&bytes).unwrap();
                if request.class() == Class::Request {
                    told.push((request.use_candidate(), request.nomination()));
                    let response = success(request.transaction_id());
                    scene.receive(&path.remote.to_string(), &response).unwrap();
                }
            }
            scene.advance(Duration::from_millis(50));
        }
        assert_eq!(told[0], (false, None));
        assert_eq!(told[1], (true, agreed.then_some(1)));
    }
}
