package main

import (
	"errors"
	"io"
	"time"

	"github.com/pion/interceptor"
	"github.com/pion/rtp"
	"github.com/pion/webrtc/v4"
)

// The source, as in src/server.rs.
const (
	frameRate = 30
	packets   = 6
	payload   = 1042
)

// server sends what comes from a publisher, or from a source of its own, to all subscribers: one track is added to
// all of them.
type server struct {
	track *webrtc.TrackLocalStaticRTP
	last  *webrtc.PeerConnection
}

func newServer() *server {
	track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: webrtc.MimeTypeVP8}, "video", "server")
	check(err)
	return &server{track: track}
}

// newMediaPeer has the interceptors that Pion has by default: NACK, reports, feedback.
func newMediaPeer() *webrtc.PeerConnection {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	media := &webrtc.MediaEngine{}
	check(media.RegisterDefaultCodecs())
	registry := &interceptor.Registry{}
	check(webrtc.RegisterDefaultInterceptors(media, registry))
	api := webrtc.NewAPI(webrtc.WithSettingEngine(settings), webrtc.WithMediaEngine(media), webrtc.WithInterceptorRegistry(registry))
	connection, err := api.NewPeerConnection(webrtc.Configuration{})
	check(err)
	return connection
}

// describe makes a description with all candidates.
func describe(connection *webrtc.PeerConnection, description webrtc.SessionDescription) string {
	gathered := webrtc.GatheringCompletePromise(connection)
	check(connection.SetLocalDescription(description))
	<-gathered
	return connection.LocalDescription().SDP
}

func (s *server) publish(sdp string) string {
	connection := newMediaPeer()
	connection.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			packet.Header.Extension = false
			packet.Header.Extensions = nil
			s.write(packet)
		}
	})
	check(connection.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeOffer, SDP: sdp}))
	answer, err := connection.CreateAnswer(nil)
	check(err)
	return describe(connection, answer)
}

func (s *server) subscribe() string {
	s.last = newMediaPeer()
	sender, err := s.last.AddTrack(s.track)
	check(err)
	go func() {
		buffer := make([]byte, 1500)
		for {
			if _, _, err := sender.Read(buffer); err != nil {
				return
			}
		}
	}()
	offer, err := s.last.CreateOffer(nil)
	check(err)
	return describe(s.last, offer)
}

func (s *server) answer(sdp string) {
	connected := make(chan struct{})
	s.last.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		if state == webrtc.PeerConnectionStateConnected {
			close(connected)
		}
	})
	check(s.last.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: sdp}))
	<-connected
}

func (s *server) source() {
	frame := make([]byte, payload)
	sequence := uint16(0)
	clock := time.NewTicker(time.Second / frameRate)
	for number := uint32(0); ; number++ {
		<-clock.C
		for i := 1; i <= packets; i++ {
			sequence++
			header := rtp.Header{Version: 2, SequenceNumber: sequence, Timestamp: number * 90000 / frameRate, Marker: i == packets}
			s.write(&rtp.Packet{Header: header, Payload: frame})
		}
	}
}

func (s *server) write(packet *rtp.Packet) {
	if err := s.track.WriteRTP(packet); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		check(err)
	}
}
