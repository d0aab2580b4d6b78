package meter

import (
	"io"
	"net"
	"testing"
)

func TestTraffic_CountsEachDirectionApart(t *testing.T) {
	var client, server Traffic
	l, err := server.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	answered := make(chan error, 1)
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer c.Close()
			if _, err = io.ReadFull(c, make([]byte, 5)); err == nil {
				_, err = c.Write([]byte("abc"))
			}
		}
		answered <- err
	}()
	c, err := client.DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(c); err != nil {
		t.Fatal(err)
	}
	if err := <-answered; err != nil {
		t.Fatal(err)
	}
	p, err := client.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if _, err := p.WriteTo([]byte("ab"), p.LocalAddr().(*net.UDPAddr)); err != nil {
		t.Fatal(err)
	}
	if got, want := client.Sent(), (Sent{Dialled: 5, Packets: 2, Received: 3}); got != want {
		t.Errorf("client: got %+v, want %+v", got, want)
	}
	if got, want := server.Sent(), (Sent{Accepted: 3, Received: 5}); got != want {
		t.Errorf("server: got %+v, want %+v", got, want)
	}
}
