// Pion as a peer of the tests: JSON lines on standard input and output, see tests/whole_peers.rs. Messages and
// media come back as they went.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"sync"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/webrtc/v4"
)

var output sync.Mutex

func say(value any) {
	output.Lock()
	defer output.Unlock()
	line, err := json.Marshal(value)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(line))
}

func echo(channel *webrtc.DataChannel) {
	channel.OnMessage(func(message webrtc.DataChannelMessage) {
		if message.IsString {
			_ = channel.SendText(string(message.Data))
		} else {
			_ = channel.Send(message.Data)
		}
	})
}

func main() {
	settings := webrtc.SettingEngine{}
	settings.SetIncludeLoopbackCandidate(true)
	connection, err := webrtc.NewAPI(webrtc.WithSettingEngine(settings), withDefaults()).NewPeerConnection(webrtc.Configuration{})
	if err != nil {
		log.Fatal(err)
	}
	connection.OnDataChannel(echo)
	connection.OnConnectionStateChange(func(state webrtc.PeerConnectionState) {
		say(map[string]string{"state": state.String()})
	})
	tracks := map[string]*webrtc.TrackLocalStaticRTP{}
	connection.OnTrack(func(remote *webrtc.TrackRemote, _ *webrtc.RTPReceiver) {
		local := tracks[remote.Kind().String()]
		say(map[string]string{"track": remote.Codec().MimeType})
		go func() {
			for range time.Tick(500 * time.Millisecond) {
				pli := &rtcp.PictureLossIndication{MediaSSRC: uint32(remote.SSRC())}
				if connection.WriteRTCP([]rtcp.Packet{pli}) != nil {
					return
				}
			}
		}()
		for {
			packet, _, err := remote.ReadRTP()
			if err != nil {
				return
			}
			if local != nil {
				packet.Header.Extension = false
				packet.Header.Extensions = nil
				_ = local.WriteRTP(packet)
			}
		}
	})
	describe := func() {
		<-webrtc.GatheringCompletePromise(connection)
		say(connection.LocalDescription())
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var command struct {
			Do   string `json:"do"`
			Type string `json:"type"`
			SDP  string `json:"sdp"`
		}
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			log.Fatal(err)
		}
		switch {
		case command.Do == "media":
			for kind, mime := range map[string]string{"video": webrtc.MimeTypeVP8, "audio": webrtc.MimeTypeOpus} {
				track, err := webrtc.NewTrackLocalStaticRTP(webrtc.RTPCodecCapability{MimeType: mime}, kind, "echo")
				if err != nil {
					log.Fatal(err)
				}
				sender, err := connection.AddTrack(track)
				if err != nil {
					log.Fatal(err)
				}
				go func() {
					for {
						if _, _, err := sender.ReadRTCP(); err != nil {
							return
						}
					}
				}()
				tracks[kind] = track
			}
		case command.Do == "offer":
			channel, err := connection.CreateDataChannel("from the peer", nil)
			if err != nil {
				log.Fatal(err)
			}
			echo(channel)
			offer, err := connection.CreateOffer(nil)
			if err != nil {
				log.Fatal(err)
			}
			apply(connection, offer)
			describe()
		case command.Do == "close":
			_ = connection.Close()
			say(map[string]string{"state": "closed by itself"})
		case command.Type == "offer" || command.Type == "answer":
			description := webrtc.SessionDescription{Type: webrtc.NewSDPType(command.Type), SDP: command.SDP}
			if err := connection.SetRemoteDescription(description); err != nil {
				log.Fatal(err)
			}
			if command.Type == "offer" {
				answer, err := connection.CreateAnswer(nil)
				if err != nil {
					log.Fatal(err)
				}
				apply(connection, answer)
				describe()
			}
		}
	}
}

func apply(connection *webrtc.PeerConnection, description webrtc.SessionDescription) {
	if err := connection.SetLocalDescription(description); err != nil {
		log.Fatal(err)
	}
}

func withDefaults() func(*webrtc.API) {
	media := &webrtc.MediaEngine{}
	if err := media.RegisterDefaultCodecs(); err != nil {
		log.Fatal(err)
	}
	return webrtc.WithMediaEngine(media)
}
