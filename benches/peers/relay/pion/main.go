// A relay with the least that pion/turn wants: one user, peers of all addresses. And two peers that connect by a relay.
package main

import (
	"log"
	"net"
	"os"
	"runtime"
	"strconv"

	"github.com/pion/turn/v5"
)

// relay LISTEN RELAY REALM USER PASSWORD THREADS
func main() {
	if os.Args[1] == "connect" {
		connect()
		return
	}
	listen, relay, realm, user, password := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5]
	threads, err := strconv.Atoi(os.Args[6])
	if err != nil {
		log.Fatal(err)
	}
	runtime.GOMAXPROCS(threads)
	socket, err := net.ListenPacket("udp4", listen)
	if err != nil {
		log.Fatal(err)
	}
	// As the others do.
	if err := socket.(*net.UDPConn).SetReadBuffer(4 << 20); err != nil {
		log.Fatal(err)
	}
	key := turn.GenerateAuthKey(user, realm, password)
	_, err = turn.NewServer(turn.ServerConfig{
		Realm: realm,
		AuthHandler: func(ra *turn.RequestAttributes) (string, []byte, bool) {
			return ra.Username, key, ra.Username == user
		},
		PacketConnConfigs: []turn.PacketConnConfig{{
			PacketConn: socket,
			RelayAddressGenerator: &turn.RelayAddressGeneratorPortRange{
				RelayAddress: net.ParseIP(relay),
				Address:      relay,
				MinPort:      49152,
				MaxPort:      65535,
				MaxRetries:   100,
			},
		}},
	})
	if err != nil {
		log.Fatal(err)
	}
	select {}
}
