// Pion's TURN client: it has an echo of a peer relayed to it, by datagrams or by a stream.
//
//	peer udp|tcp|tls|dtls|stream SERVER USER PASSWORD REALM PEER
package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/turn/v5"
)

const messages = 10

func connect(transport, server string) (net.PacketConn, error) {
	switch transport {
	case "udp":
		return net.ListenPacket("udp4", "127.0.0.1:0")
	case "tls":
		conn, err := tls.Dial("tcp", server, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		return turn.NewSTUNConn(conn), nil
	case "dtls":
		address, err := net.ResolveUDPAddr("udp", server)
		if err != nil {
			return nil, err
		}
		conn, err := dtls.Dial("udp", address, &dtls.Config{InsecureSkipVerify: true})
		if err != nil {
			return nil, err
		}
		return turn.NewSTUNConn(conn), nil
	default:
		conn, err := net.Dial("tcp", server)
		if err != nil {
			return nil, err
		}
		return turn.NewSTUNConn(conn), nil
	}
}

func main() {
	transport, server, user, password, realm, peer := os.Args[1], os.Args[2], os.Args[3], os.Args[4], os.Args[5], os.Args[6]
	conn, err := connect(transport, server)
	if err != nil {
		log.Fatalf("connect: %v", err)
	}
	client, err := turn.NewClient(&turn.ClientConfig{
		STUNServerAddr: server,
		TURNServerAddr: server,
		Conn:           conn,
		Username:       user,
		Password:       password,
		Realm:          realm,
	})
	if err != nil {
		log.Fatalf("client: %v", err)
	}
	if err = client.Listen(); err != nil {
		log.Fatalf("listen: %v", err)
	}
	if transport == "stream" {
		stream(client, peer)
	} else {
		datagrams(client, peer)
	}
	client.Close()
}

func datagrams(client *turn.Client, peer string) {
	relay, err := client.Allocate()
	if err != nil {
		log.Fatalf("allocate: %v", err)
	}
	address, err := net.ResolveUDPAddr("udp4", peer)
	if err != nil {
		log.Fatal(err)
	}
	echoed := 0
	buffer := make([]byte, 1500)
	for number := 0; number < messages; number++ {
		text := fmt.Sprintf("message %d", number)
		if _, err = relay.WriteTo([]byte(text), address); err != nil {
			log.Fatalf("write: %v", err)
		}
		if err = relay.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
			log.Fatal(err)
		}
		count, from, err := relay.ReadFrom(buffer)
		if err != nil {
			log.Fatalf("read: %v", err)
		}
		if string(buffer[:count]) == text && from.String() == peer {
			echoed++
		}
	}
	if err = relay.Close(); err != nil {
		log.Fatalf("close: %v", err)
	}
	fmt.Printf("echoed %d\n", echoed)
}

func stream(client *turn.Client, peer string) {
	allocation, err := client.AllocateTCP()
	if err != nil {
		log.Fatalf("allocate: %v", err)
	}
	conn, err := allocation.Dial("tcp", peer)
	if err != nil {
		log.Fatalf("dial: %v", err)
	}
	text := []byte("over a stream")
	if _, err = conn.Write(text); err != nil {
		log.Fatalf("write: %v", err)
	}
	buffer := make([]byte, len(text))
	if _, err = io.ReadFull(conn, buffer); err != nil {
		log.Fatalf("read: %v", err)
	}
	if string(buffer) != string(text) {
		log.Fatalf("it is %q", buffer)
	}
	if err = conn.Close(); err != nil {
		log.Fatalf("close: %v", err)
	}
	if err = allocation.Close(); err != nil {
		log.Fatalf("close: %v", err)
	}
	fmt.Println("echoed 10")
}
