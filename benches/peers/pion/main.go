// Pion as a peer of the benchmarks: JSON lines on standard input and output, see src/pair/mod.rs
// and src/server.rs.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/webrtc/v4"
)

// What a sender may have buffered, and where it goes on, as in src/pair/mod.rs.
const (
	highWater = 1 << 20
	lowWater  = 1 << 18
)

type request struct {
	Do    string `json:"do"`
	Count int    `json:"count"`
	Size  int    `json:"size"`
	SDP   string `json:"sdp"`
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

func newPeer() *webrtc.PeerConnection {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	media := &webrtc.MediaEngine{}
	check(media.RegisterDefaultCodecs())
	connection, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media)).NewPeerConnection(webrtc.Configuration{})
	check(err)
	return connection
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

func negotiate(offerer, answerer *webrtc.PeerConnection) {
	toAnswerer, toOfferer := trickle(offerer, answerer), trickle(answerer, offerer)
	offer, err := offerer.CreateOffer(nil)
	check(err)
	check(offerer.SetLocalDescription(offer))
	check(answerer.SetRemoteDescription(offer))
	toAnswerer()
	answer, err := answerer.CreateAnswer(nil)
	check(err)
	check(answerer.SetLocalDescription(answer))
	check(offerer.SetRemoteDescription(answer))
	toOfferer()
}

type pair struct {
	peers    [2]*webrtc.PeerConnection
	out      *webrtc.DataChannel
	low      chan struct{}
	arrived  chan struct{}
	received atomic.Int64
	expected atomic.Int64
}

func connect() *pair {
	p := &pair{
		peers:   [2]*webrtc.PeerConnection{newPeer(), newPeer()},
		low:     make(chan struct{}, 1),
		arrived: make(chan struct{}, 1),
	}
	out, err := p.peers[0].CreateDataChannel("data", nil)
	check(err)
	p.out = out
	open := make(chan struct{})
	out.OnOpen(func() { close(open) })
	out.SetBufferedAmountLowThreshold(lowWater)
	out.OnBufferedAmountLow(func() {
		select {
		case p.low <- struct{}{}:
		default:
		}
	})
	p.peers[1].OnDataChannel(func(incoming *webrtc.DataChannel) {
		incoming.OnMessage(func(webrtc.DataChannelMessage) {
			if p.received.Add(1) == p.expected.Load() {
				p.arrived <- struct{}{}
			}
		})
	})
	negotiate(p.peers[0], p.peers[1])
	<-open
	return p
}

func (p *pair) send(size, count int) {
	p.expected.Add(int64(count))
	message := make([]byte, size)
	for range count {
		for p.out.BufferedAmount() > highWater {
			<-p.low
		}
		check(p.out.Send(message))
	}
	<-p.arrived
}

func (p *pair) close() {
	for _, peer := range p.peers {
		check(peer.Close())
	}
}

func main() {
	var kept *pair
	var held []*pair
	media := newServer()
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var asked request
		check(json.Unmarshal(lines.Bytes(), &asked))
		answer := map[string]any{}
		switch asked.Do {
		case "set_up":
			times := []float64{}
			for range asked.Count {
				begin := time.Now()
				made := connect()
				times = append(times, time.Since(begin).Seconds()*1e3)
				made.close()
			}
			answer["milliseconds"] = times
		case "send":
			if kept == nil {
				kept = connect()
			}
			begin := time.Now()
			kept.send(asked.Size, asked.Count)
			answer["seconds"] = time.Since(begin).Seconds()
		case "hold":
			for range asked.Count {
				held = append(held, connect())
			}
		case "publish":
			answer["sdp"] = media.publish(asked.SDP)
		case "subscribe":
			answer["sdp"] = media.subscribe()
		case "answer":
			media.answer(asked.SDP)
		case "source":
			go media.source()
		default:
			log.Fatalf("no such request: %s", lines.Text())
		}
		line, err := json.Marshal(answer)
		check(err)
		fmt.Println(string(line))
	}
}
