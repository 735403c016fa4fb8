package main

import (
	"fmt"
	"log"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/pion/webrtc/v4"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// trickle tells the other side candidates as they are found, once it has the description.
func trickle(from, to *webrtc.PeerConnection) func() {
	var lock sync.Mutex
	var early []webrtc.ICECandidateInit
	ready := false
	from.OnICECandidate(func(found *webrtc.ICECandidate) {
		lock.Lock()
		defer lock.Unlock()
		switch {
		case found == nil:
		case ready:
			check(to.AddICECandidate(found.ToJSON()))
		default:
			early = append(early, found.ToJSON())
		}
	})
	return func() {
		lock.Lock()
		defer lock.Unlock()
		ready = true
		for _, candidate := range early {
			check(to.AddICECandidate(candidate))
		}
	}
}

// connect URL USER PASSWORD ROUNDS: the milliseconds until two peers behind a relay are connected, and until their channel
// is open.
func connect() {
	rounds, err := strconv.Atoi(os.Args[5])
	check(err)
	for range rounds {
		begin := time.Now()
		settings := webrtc.SettingEngine{}
		settings.SetIncludeLoopbackCandidate(true)
		api := webrtc.NewAPI(webrtc.WithSettingEngine(settings))
		var connected sync.WaitGroup
		var peers [2]*webrtc.PeerConnection
		for i := range peers {
			peer, err := api.NewPeerConnection(webrtc.Configuration{
				ICEServers:         []webrtc.ICEServer{{URLs: []string{os.Args[2]}, Username: os.Args[3], Credential: os.Args[4]}},
				ICETransportPolicy: webrtc.ICETransportPolicyRelay,
			})
			check(err)
			connected.Add(1)
			var once sync.Once
			peer.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
				if state == webrtc.PeerConnectionStateConnected {
					once.Do(connected.Done)
				}
			})
			peers[i] = peer
		}
		open := make(chan time.Duration, 1)
		channel, err := peers[0].CreateDataChannel("chat", nil)
		check(err)
		channel.OnOpen(func() { open <- time.Since(begin) })
		toAnswerer, toOfferer := trickle(peers[0], peers[1]), trickle(peers[1], peers[0])
		offer, err := peers[0].CreateOffer(nil)
		check(err)
		check(peers[0].SetLocalDescription(offer))
		check(peers[1].SetRemoteDescription(offer))
		toAnswerer()
		answer, err := peers[1].CreateAnswer(nil)
		check(err)
		check(peers[1].SetLocalDescription(answer))
		check(peers[0].SetRemoteDescription(answer))
		toOfferer()
		connected.Wait()
		until := time.Since(begin)
		opened := <-open
		fmt.Printf("%.3f %.3f\n", until.Seconds()*1e3, opened.Seconds()*1e3)
		for _, peer := range peers {
			check(peer.Close())
		}
	}
}
