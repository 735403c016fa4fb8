// Pion as a peer of the tests: the commands are those of tests/whole_peers/peer.rs. RTP packets come back as they
// went.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"net"
	"os"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

type command struct {
	Do      string `json:"do"`
	Type    string `json:"type"`
	SDP     string `json:"sdp"`
	Label   string `json:"label"`
	Ordered bool   `json:"ordered"`
	Kind    string `json:"kind"`
	Codec   string `json:"codec"`
}

type peer struct {
	connection *webrtc.PeerConnection
	// What media of a kind goes back in.
	tracks sync.Map
	added  *webrtc.RTPSender
	stop   chan struct{}
}

func main() {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	// "active" and "passive" have no UDP: the first opens streams of TCP, the second takes them at one port. With an address
	// behind they do have it, and streams are taken there.
	if len(os.Args) > 1 {
		kinds, address := []webrtc.NetworkType{webrtc.NetworkTypeTCP4}, net.IPv4(127, 0, 0, 1)
		if len(os.Args) > 2 {
			kinds, address = append(kinds, webrtc.NetworkTypeUDP4), net.ParseIP(os.Args[2])
		}
		settings.SetNetworkTypes(kinds)
		if os.Args[1] == "passive" {
			listener, err := net.ListenTCP("tcp", &net.TCPAddr{IP: address})
			must(err)
			settings.SetICETCPMux(webrtc.NewICETCPMux(nil, listener, 8))
		}
	}
	connection, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings)).NewPeerConnection(webrtc.Configuration{})
	must(err)
	peer := &peer{connection: connection}
	connection.OnDataChannel(func(channel *webrtc.DataChannel) {
		echo(channel)
		say(map[string]any{"channel": channel.Label(), "ordered": channel.Ordered()})
	})
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		say(map[string]string{"state": state.String()})
	})
	connection.OnTrack(peer.reflect)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var command command
		must(json.Unmarshal(lines.Bytes(), &command))
		peer.handle(command)
	}
}

func (p *peer) handle(command command) {
	switch {
	case command.Do == "channel":
		channel, err := p.connection.CreateDataChannel(command.Label, &webrtc.DataChannelInit{Ordered: &command.Ordered})
		must(err)
		echo(channel)
	case command.Do == "media":
		track, _ := p.addTrack(command.Kind, command.Kind+"/"+command.Codec)
		p.tracks.Store(command.Kind, track)
	case command.Do == "offer":
		p.offer(nil)
	case command.Do == "restart":
		p.offer(&webrtc.OfferOptions{ICERestart: true})
	case command.Do == "add":
		var track *webrtc.TrackLocalStaticRTP
		track, p.added = p.addTrack("video", webrtc.MimeTypeVP8)
		p.stop = make(chan struct{})
		go send(track, p.stop)
	case command.Do == "remove":
		close(p.stop)
		must(p.connection.RemoveTrack(p.added))
	case command.Do == "close":
		_ = p.connection.Close()
		say(map[string]string{"state": "closed by itself"})
	case command.Type == "answer":
		must(p.connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: command.SDP}))
	case command.Type == "offer" && p.connection.SignalingState() != webrtc.SignalingStateStable:
		say(map[string]string{"ignored": command.Type})
	case command.Type == "offer":
		must(p.connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: command.SDP}))
		answer, err := p.connection.CreateAnswer(nil)
		must(err)
		p.describe(answer)
	default:
		log.Fatalf("unknown: %+v", command)
	}
}

func (p *peer) offer(options *webrtc.OfferOptions) {
	offer, err := p.connection.CreateOffer(options)
	must(err)
	p.describe(offer)
}

func (p *peer) describe(description webrtc.SessionDescription) {
	gathered := webrtc.GatheringCompletePromise(p.connection)
	must(p.connection.SetLocalDescription(description))
	<-gathered
	say(p.connection.LocalDescription())
}

func (p *peer) addTrack(kind, mime string) (*webrtc.TrackLocalStaticRTP, *webrtc.RTPSender) {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind, "peer")
	must(err)
	sender, err := p.connection.AddTrack(track)
	must(err)
	go func() {
		for {
			if _, _, err := sender.ReadRTCP(); err != nil {
				return
			}
		}
	}()
	return track, sender
}

func (p *peer) reflect(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
	say(map[string]string{"track": remote.Codec().MimeType})
	go func() {
		for range time.Tick(500 * time.Millisecond) {
			pli := &rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}
			if p.connection.WriteRTCP([]rtcp.Packet{pli}) != nil {
				return
			}
		}
	}()
	for {
		packet, _, err := remote.ReadRTP()
		if err != nil {
			return
		}
		if local, ok := p.tracks.Load(remote.Kind().String()); ok {
			packet.Header.Extension = false
			packet.Header.Extensions = nil
			_ = local.(*webrtc.TrackLocalStaticRTP).WriteRTP(packet)
		}
	}
}

// Sends a packet with the beginning of a VP8 key frame every 20 ms.
func send(track *webrtc.TrackLocalStaticRTP, stop chan struct{}) {
	frame := []byte{0x10, 0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 0xa0, 0x00, 0x78, 0x00}
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for count := uint32(1); ; count++ {
		select {
		case <-stop:
			return
		case <-ticker.C:
			header := rtp.Header{Version: 2, Marker: true, SequenceNumber: uint16(count), Timestamp: count * 1800}
			_ = track.WriteRTP(&rtp.Packet{Header: header, Payload: frame})
		}
	}
}

func echo(channel *webrtc.DataChannel) {
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		if message.IsString {
			_ = channel.SendText(string(message.Data))
		} else {
			_ = channel.Send(message.Data)
		}
	})
	channel.OnClose(func() { say(map[string]string{"closed": channel.Label()}) })
}

var output sync.Mutex

func say(value any) {
	output.Lock()
	defer output.Unlock()
	line, err := json.Marshal(value)
	must(err)
	fmt.Println(string(line))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
